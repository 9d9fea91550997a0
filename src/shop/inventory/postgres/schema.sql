-- Stock and reservations. Every column means what it means in `inventory.db`
-- (src/shop/inventory/sqlite/schema.rs).

CREATE TABLE stock (
    sku        text COLLATE "C" PRIMARY KEY,
    name       text NOT NULL,
    amount     bigint NOT NULL CHECK (amount >= 0),
    currency   text NOT NULL,
    on_hand    bigint NOT NULL CHECK (on_hand >= 0),
    reserved   bigint NOT NULL CHECK (reserved >= 0 AND reserved <= on_hand),
    received   bigint NOT NULL,
    on_sale    boolean NOT NULL DEFAULT true,
    changed_ms bigint NOT NULL DEFAULT 0,
    adjusted   bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 30);

CREATE TABLE reservations (
    order_id    bigint PRIMARY KEY,
    state       smallint NOT NULL CHECK (state IN (10, 20, 30, 40, 50)), -- held, committed, released, refused, tombstone
    claim_no    integer NOT NULL,
    items       text NOT NULL, -- [[sku, quantity], ...]
    reserved_ms bigint NOT NULL,
    reserved_by text NOT NULL,
    changed_ms  bigint NOT NULL,
    changed_by  text,
    reason      text
) WITH (fillfactor = 80);

CREATE TABLE loaded (what text COLLATE "C" PRIMARY KEY, at_ms bigint NOT NULL);

CREATE TABLE outbox (
    number   bigint PRIMARY KEY,
    at_ms    bigint NOT NULL,
    sku      text NOT NULL,
    name     text NOT NULL,
    amount   bigint NOT NULL,
    currency text NOT NULL,
    on_hand  bigint NOT NULL,
    on_sale  boolean NOT NULL
);

CREATE TABLE adjustments (
    number  bigint PRIMARY KEY,
    sku     text COLLATE "C" NOT NULL,
    delta   bigint NOT NULL CHECK (delta <> 0),
    reason  text NOT NULL,
    on_hand bigint NOT NULL,
    at_ms   bigint NOT NULL,
    key     text COLLATE "C" NOT NULL UNIQUE
);
CREATE INDEX adjustments_of_article ON adjustments (sku, number);

-- The articles of a reservation, with their quantities.
CREATE FUNCTION items_1(p_items text) RETURNS TABLE (sku text, quantity bigint) LANGUAGE sql IMMUTABLE AS $$
    SELECT item->>0, (item->>1)::bigint FROM jsonb_array_elements(p_items::jsonb) AS item
$$;

-- Locks articles (`sku:NAME`) and those of reservations (`order:KEY`), in one order for every transaction.
CREATE FUNCTION lock_1(p_names text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_skus text[] := ARRAY(SELECT substr(name, 5) FROM unnest(p_names) AS name WHERE name LIKE 'sku:%');
    v_orders bigint[] := ARRAY(SELECT substr(name, 7)::bigint FROM unnest(p_names) AS name
        WHERE name LIKE 'order:%');
BEGIN
    IF v_orders <> '{}' THEN
        v_skus := v_skus || ARRAY(SELECT i.sku FROM (SELECT r.items FROM reservations AS r
            WHERE r.order_id = ANY (v_orders)) AS r, items_1(r.items) AS i);
    END IF;
    PERFORM 1 FROM stock AS s WHERE s.sku = ANY (v_skus) ORDER BY s.sku FOR UPDATE;
END $$;

-- Holds all lines, or records that there are too few goods. One row: whether the reservation is new, and as it
-- stands.
CREATE FUNCTION reserve_1(
    p_order bigint, p_claim integer, p_life text, p_items text, p_skus text[], p_quantities bigint[], p_now bigint
) RETURNS TABLE (is_new boolean, noted boolean, state smallint, reason text) LANGUAGE plpgsql AS $$
DECLARE
    v_index integer;
    v_available bigint;
BEGIN
    IF is_life_fenced_1(p_life) THEN
        RETURN QUERY SELECT false, false, 10::smallint, NULL::text;
        RETURN;
    END IF;
    INSERT INTO reservations AS r (order_id, state, claim_no, items, reserved_ms, reserved_by, changed_ms)
        VALUES (p_order, 10, p_claim, p_items, p_now, p_life, p_now) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN QUERY SELECT false, n.noted, n.state, n.reason FROM noted_1(p_order, p_claim) AS n;
        RETURN;
    END IF;
    FOR v_index IN 1 .. cardinality(p_skus) LOOP
        UPDATE stock AS s SET reserved = s.reserved + p_quantities[v_index], changed_ms = p_now
            WHERE s.sku = p_skus[v_index] AND s.on_hand - s.reserved >= p_quantities[v_index];
        IF NOT FOUND THEN
            FOR v_before IN 1 .. v_index - 1 LOOP
                UPDATE stock AS s SET reserved = s.reserved - p_quantities[v_before]
                    WHERE s.sku = p_skus[v_before];
            END LOOP;
            SELECT greatest(s.on_hand - s.reserved, 0) INTO v_available FROM stock AS s
                WHERE s.sku = p_skus[v_index];
            UPDATE reservations AS r SET state = 40, reason = json_build_object('out_of_stock', json_build_object(
                    'sku', p_skus[v_index], 'requested', p_quantities[v_index],
                    'available', coalesce(v_available, 0)))::text
                WHERE r.order_id = p_order;
            EXIT;
        END IF;
    END LOOP;
    RETURN QUERY SELECT true, true, r.state, r.reason FROM reservations AS r WHERE r.order_id = p_order;
END $$;

-- A reservation as it stands, with whether the claim was noted: a lower one is refused from then on. No row when
-- there is none.
CREATE FUNCTION noted_1(p_order bigint, p_claim integer)
RETURNS TABLE (noted boolean, state smallint, reason text) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE reservations AS r SET claim_no = p_claim WHERE r.order_id = p_order AND r.claim_no <= p_claim;
    RETURN QUERY SELECT r.claim_no = p_claim, r.state, r.reason FROM reservations AS r
        WHERE r.order_id = p_order;
END $$;

-- Ends a reservation that is held, unless a later owner claimed it: 20 committed, 30 released; whether it did.
CREATE FUNCTION end_reservation_1(p_order bigint, p_claim integer, p_life text, p_state smallint, p_now bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_items text;
    v_leaves integer := CASE p_state WHEN 20 THEN 1 ELSE 0 END;
    v_item record;
BEGIN
    UPDATE reservations AS r SET state = p_state, claim_no = p_claim, changed_ms = p_now,
        changed_by = nullif(p_life, r.reserved_by)
        WHERE r.order_id = p_order AND r.claim_no <= p_claim AND r.state = 10 RETURNING r.items INTO v_items;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- One by one: a join with the items, of which nobody knows how few they are, would read all articles.
    FOR v_item IN SELECT i.sku, i.quantity FROM items_1(v_items) AS i ORDER BY i.sku LOOP
        UPDATE stock AS s SET reserved = s.reserved - v_item.quantity,
            on_hand = s.on_hand - v_leaves * v_item.quantity, changed_ms = p_now
            WHERE s.sku = v_item.sku;
    END LOOP;
    RETURN true;
END $$;

-- Lets go of what is held; leaves a tombstone when nothing was reserved yet. Answers as reserve_1.
CREATE FUNCTION release_1(p_order bigint, p_claim integer, p_life text, p_now bigint)
RETURNS TABLE (is_new boolean, noted boolean, state smallint, reason text) LANGUAGE plpgsql AS $$
BEGIN
    IF is_life_fenced_1(p_life) THEN
        RETURN QUERY SELECT false, false, 10::smallint, NULL::text;
        RETURN;
    END IF;
    IF end_reservation_1(p_order, p_claim, p_life, 30::smallint, p_now) THEN
        RETURN QUERY SELECT true, true, 30::smallint, NULL::text;
        RETURN;
    END IF;
    INSERT INTO reservations AS r (order_id, state, claim_no, items, reserved_ms, reserved_by, changed_ms)
        VALUES (p_order, 50, p_claim, '[]', p_now, p_life, p_now) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN QUERY SELECT true, true, 50::smallint, NULL::text;
        RETURN;
    END IF;
    RETURN QUERY SELECT false, n.noted, n.state, n.reason FROM noted_1(p_order, p_claim) AS n;
END $$;

-- What is held leaves the shelf. Answers as reserve_1; no row when nothing was reserved.
CREATE FUNCTION commit_1(p_order bigint, p_claim integer, p_life text, p_now bigint)
RETURNS TABLE (is_new boolean, noted boolean, state smallint, reason text) LANGUAGE plpgsql AS $$
BEGIN
    IF is_life_fenced_1(p_life) THEN
        RETURN QUERY SELECT false, false, 10::smallint, NULL::text;
        RETURN;
    END IF;
    IF end_reservation_1(p_order, p_claim, p_life, 20::smallint, p_now) THEN
        RETURN QUERY SELECT true, true, 20::smallint, NULL::text;
        RETURN;
    END IF;
    RETURN QUERY SELECT false, n.noted, n.state, n.reason FROM noted_1(p_order, p_claim) AS n;
END $$;

-- Puts what left the shelf back: when it had left, or null when it had not.
CREATE FUNCTION put_back_1(p_order bigint, p_claim integer, p_life text, p_reason text, p_now bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_items text;
BEGIN
    UPDATE reservations AS r SET claim_no = p_claim, changed_ms = p_now, changed_by = nullif(p_life, r.reserved_by),
        reason = replace(p_reason, '{}', to_char(to_timestamp(r.changed_ms / 1000.0) AT TIME ZONE 'UTC',
            'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), state = 30
        WHERE r.order_id = p_order AND r.claim_no <= p_claim AND r.state = 20 RETURNING r.items INTO v_items;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE stock AS s SET on_hand = s.on_hand + i.quantity, changed_ms = p_now
        FROM (SELECT sku, sum(quantity)::bigint AS quantity FROM items_1(v_items) GROUP BY sku) AS i
        WHERE s.sku = i.sku;
    RETURN true;
END $$;

-- As release_1, after what left the shelf was put back.
CREATE FUNCTION give_back_1(p_order bigint, p_claim integer, p_life text, p_reason text, p_now bigint)
RETURNS TABLE (is_new boolean, noted boolean, state smallint, reason text) LANGUAGE plpgsql AS $$
BEGIN
    IF is_life_fenced_1(p_life) THEN
        RETURN QUERY SELECT false, false, 10::smallint, NULL::text;
        RETURN;
    END IF;
    IF put_back_1(p_order, p_claim, p_life, p_reason, p_now) THEN
        RETURN QUERY SELECT true, true, 30::smallint, NULL::text;
        RETURN;
    END IF;
    RETURN QUERY SELECT r.is_new, r.noted, r.state, r.reason FROM release_1(p_order, p_claim, p_life, p_now) AS r;
END $$;

-- Removes some ended reservations of orders in the window that are not kept, and some old adjustments.
CREATE FUNCTION forget_1(p_after bigint, p_before bigint, p_kept bigint[], p_limit bigint, p_before_ms bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_gone bigint[] := ARRAY(SELECT r.order_id FROM reservations AS r
        WHERE r.order_id > p_after AND r.order_id < p_before AND r.state <> 10 AND r.order_id <> ALL (p_kept)
        ORDER BY r.order_id LIMIT p_limit);
    v_old bigint[] := ARRAY(SELECT a.number FROM adjustments AS a
        WHERE a.number < (SELECT max(number) FROM adjustments) AND a.at_ms < p_before_ms
        ORDER BY a.number LIMIT p_limit);
BEGIN
    UPDATE stock AS s SET received = s.received - i.quantity
        FROM (SELECT i.sku, sum(i.quantity)::bigint AS quantity
            FROM (SELECT r.items FROM reservations AS r WHERE r.order_id = ANY (v_gone) AND r.state = 20
                ORDER BY r.order_id) AS gone, items_1(gone.items) AS i GROUP BY i.sku) AS i
        WHERE s.sku = i.sku;
    DELETE FROM reservations WHERE order_id = ANY (v_gone);
    UPDATE stock AS s SET adjusted = s.adjusted - a.delta
        FROM (SELECT sku, sum(delta)::bigint AS delta FROM adjustments WHERE number = ANY (v_old) GROUP BY sku) AS a
        WHERE s.sku = a.sku;
    DELETE FROM adjustments WHERE number = ANY (v_old);
END $$;

CREATE FUNCTION announce_1(p_sku text, p_now bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO outbox (number, at_ms, sku, name, amount, currency, on_hand, on_sale)
    SELECT next_event_1(), p_now, sku, name, amount, currency, on_hand, on_sale FROM stock WHERE sku = p_sku
$$;

-- Edits of an article are judged by who asks, who has read it, and made if it is still as it was read: whether
-- that was so. What was read is null for an article that is not there.
CREATE FUNCTION is_as_read_1(p_sku text, p_on_hand bigint, p_reserved bigint, p_name text, p_amount bigint,
    p_currency text, p_on_sale boolean, p_changed_ms bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM stock WHERE sku = p_sku FOR UPDATE;
    IF p_on_hand IS NULL THEN
        RETURN NOT FOUND;
    END IF;
    RETURN EXISTS (SELECT 1 FROM stock WHERE sku = p_sku AND on_hand = p_on_hand AND reserved = p_reserved
        AND name = p_name AND amount = p_amount AND currency = p_currency AND on_sale = p_on_sale
        AND changed_ms = p_changed_ms);
END $$;

CREATE FUNCTION put_1(
    p_sku text, p_name text, p_amount bigint, p_currency text, p_on_hand bigint, p_on_sale boolean, p_now bigint,
    r_on_hand bigint, r_reserved bigint, r_name text, r_amount bigint, r_currency text, r_on_sale boolean,
    r_changed_ms bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_as_read_1(p_sku, r_on_hand, r_reserved, r_name, r_amount, r_currency, r_on_sale, r_changed_ms) THEN
        RETURN false;
    END IF;
    INSERT INTO stock AS s (sku, name, amount, currency, on_hand, reserved, received, on_sale, changed_ms)
        VALUES (p_sku, p_name, p_amount, p_currency, p_on_hand, 0, p_on_hand, p_on_sale, p_now)
        ON CONFLICT (sku) DO UPDATE SET name = excluded.name, amount = excluded.amount,
            currency = excluded.currency, received = s.received + excluded.on_hand - s.on_hand,
            on_hand = excluded.on_hand, on_sale = excluded.on_sale, changed_ms = excluded.changed_ms
        WHERE r_on_hand IS NOT NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM announce_1(p_sku, p_now);
    RETURN true;
END $$;

-- One row: whether the article was as it was read, and the number of the adjustment.
CREATE FUNCTION adjust_1(
    p_sku text, p_delta bigint, p_why text, p_key text, p_now bigint,
    r_on_hand bigint, r_reserved bigint, r_name text, r_amount bigint, r_currency text, r_on_sale boolean,
    r_changed_ms bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_number bigint;
BEGIN
    -- Numbers are given out one after the other, over all articles.
    LOCK TABLE adjustments IN SHARE ROW EXCLUSIVE MODE;
    IF NOT is_as_read_1(p_sku, r_on_hand, r_reserved, r_name, r_amount, r_currency, r_on_sale, r_changed_ms)
        OR EXISTS (SELECT 1 FROM adjustments WHERE key = p_key) THEN
        RETURN NULL;
    END IF;
    UPDATE stock SET on_hand = on_hand + p_delta, received = received + p_delta, adjusted = adjusted + p_delta,
        changed_ms = p_now WHERE sku = p_sku;
    SELECT coalesce(max(number), 0) + 1 INTO v_number FROM adjustments;
    INSERT INTO adjustments (number, sku, delta, reason, on_hand, at_ms, key)
        VALUES (v_number, p_sku, p_delta, p_why, r_on_hand + p_delta, p_now, p_key);
    PERFORM announce_1(p_sku, p_now);
    RETURN v_number;
END $$;

-- Writes that a catalog was loaded; false when another worker was faster.
CREATE FUNCTION loaded_1(p_fingerprint text, p_articles text, p_now bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_article record;
BEGIN
    LOCK TABLE loaded IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT 1 FROM loaded WHERE what = 'catalog') THEN
        RETURN false;
    END IF;
    FOR v_article IN SELECT * FROM jsonb_to_recordset(p_articles::jsonb)
        AS a (sku text, name text, amount bigint, currency text, on_hand bigint, on_sale boolean) LOOP
        INSERT INTO stock (sku, name, amount, currency, on_hand, reserved, received, on_sale, changed_ms)
            VALUES (v_article.sku, v_article.name, v_article.amount, v_article.currency, v_article.on_hand, 0,
                v_article.on_hand, v_article.on_sale, p_now);
        PERFORM announce_1(v_article.sku, p_now);
    END LOOP;
    INSERT INTO loaded (what, at_ms) VALUES ('catalog', p_now), ('catalog-sha256:' || p_fingerprint, p_now);
    RETURN true;
END $$;
