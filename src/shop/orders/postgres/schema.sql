-- Orders, their sagas, the outbox, idempotency keys. Every column means what it means in `orders.db`
-- (src/shop/orders/sqlite/schema.rs).

CREATE TABLE orders (
    id          bigint PRIMARY KEY,
    status      smallint NOT NULL CHECK (status IN (10, 11, 20, 30)), -- pending, parked, confirmed, rejected
    customer_id text COLLATE "C" NOT NULL,
    items       text NOT NULL,              -- [[sku, quantity, unit price], ...]
    amount      bigint NOT NULL CHECK (amount >= 0),
    currency    text NOT NULL,
    method      text NOT NULL,
    version     integer NOT NULL,           -- of the saga's definition
    owner       text COLLATE "C" NOT NULL,  -- the life that drives the saga, or that ended it
    claim_no    integer NOT NULL CHECK (claim_no >= 1),
    changed_ms  bigint NOT NULL,
    reason      text,
    given_up    text,
    fresh_from  integer NOT NULL DEFAULT 0,
    request_id  text,
    traceparent text
) WITH (fillfactor = 80);
CREATE INDEX orders_unfinished ON orders (owner, id) WHERE status < 20;
CREATE INDEX orders_of_customer ON orders (customer_id, id);

CREATE TABLE takeovers (
    order_id   bigint NOT NULL,
    claim_no   integer NOT NULL,
    from_owner text NOT NULL,
    to_owner   text NOT NULL,
    at_ms      bigint NOT NULL,
    PRIMARY KEY (order_id, claim_no)
);

CREATE TABLE outbox (
    number      bigint PRIMARY KEY,
    order_id    bigint NOT NULL,
    event       text NOT NULL CHECK (event IN ('order.confirmed', 'order.rejected')),
    at_ms       bigint NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    items       text NOT NULL,
    amount      bigint NOT NULL,
    currency    text NOT NULL,
    reason      text,
    request_id  text,
    traceparent text
);
CREATE INDEX outbox_of_order ON outbox (order_id);

CREATE TABLE idempotency_keys (
    order_id  bigint PRIMARY KEY,
    key       text COLLATE "C" NOT NULL UNIQUE,
    body_hash bytea NOT NULL CHECK (length(body_hash) = 32)
);

CREATE TABLE interventions (
    order_id bigint NOT NULL,
    at_ms    bigint NOT NULL,
    act      text NOT NULL CHECK (act IN ('retry', 'compensate', 'confirm', 'reject')),
    who      text NOT NULL,
    reason   text NOT NULL,
    PRIMARY KEY (order_id, at_ms)
);

CREATE TABLE attempts (
    order_id bigint NOT NULL,
    claim_no integer NOT NULL,
    step     text COLLATE "C" NOT NULL,
    worker   text NOT NULL,
    attempts integer NOT NULL,
    first_ms bigint NOT NULL,
    last_ms  bigint NOT NULL,
    next_ms  bigint NOT NULL,
    until_ms bigint NOT NULL,
    reason   text NOT NULL,
    PRIMARY KEY (order_id, claim_no, step)
);

CREATE TABLE budget_used (
    order_id bigint NOT NULL,
    claim_no integer NOT NULL,
    step     text COLLATE "C" NOT NULL,
    used_ms  bigint NOT NULL CHECK (used_ms >= 0),
    PRIMARY KEY (order_id, claim_no, step)
);

-- Ended orders before this one are removed.
CREATE TABLE horizon (one boolean PRIMARY KEY CHECK (one), order_id bigint NOT NULL);

-- What retention removed, by customer.
CREATE TABLE removed_totals (
    customer_id text COLLATE "C" NOT NULL,
    currency    text COLLATE "C" NOT NULL,
    orders      bigint NOT NULL,
    amount      bigint NOT NULL,
    before_ms   bigint NOT NULL,
    PRIMARY KEY (customer_id, currency)
);

-- The newest master whose workers use the orders.
CREATE TABLE last_user (one boolean PRIMARY KEY CHECK (one), incarnation bigint NOT NULL, master bigint NOT NULL);

-- An order that has not ended keeps its key, however old it is; the time of retention begins when it ends.
CREATE FUNCTION is_key_kept_1(p_order bigint, p_horizon bigint, p_horizon_ms bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT p_order >= p_horizon
        OR EXISTS (SELECT 1 FROM orders WHERE id = p_order AND (status < 20 OR changed_ms >= p_horizon_ms))
$$;

-- Writes an order, its saga and its key. One row: the order that was placed, or the one that the key stands for
-- with whether the request is the same.
CREATE FUNCTION place_1(
    p_wanted bigint, p_owner text, p_customer text, p_items text, p_amount bigint, p_currency text,
    p_method text, p_version integer, p_changed_ms bigint, p_request text, p_traceparent text, p_key text,
    p_hash bytea, p_horizon bigint, p_horizon_ms bigint
) RETURNS TABLE (placed bigint, known bigint, is_same boolean) LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint := p_wanted;
    v_key idempotency_keys;
BEGIN
    IF p_key IS NOT NULL THEN
        SELECT * INTO v_key FROM idempotency_keys AS k WHERE k.key = p_key;
        IF FOUND AND is_key_kept_1(v_key.order_id, p_horizon, p_horizon_ms) THEN
            RETURN QUERY SELECT NULL::bigint, v_key.order_id, v_key.body_hash = p_hash;
            RETURN;
        END IF;
        DELETE FROM idempotency_keys AS k WHERE k.key = p_key AND k.order_id = v_key.order_id;
    END IF;
    LOOP
        INSERT INTO orders (id, status, customer_id, items, amount, currency, method, version, owner, claim_no,
                            changed_ms, request_id, traceparent)
            VALUES (v_id, 10, p_customer, p_items, p_amount, p_currency, p_method, p_version, p_owner, 1,
                    p_changed_ms, p_request, p_traceparent)
            ON CONFLICT (id) DO NOTHING;
        EXIT WHEN FOUND;
        v_id := v_id + 1;
    END LOOP;
    IF p_key IS NOT NULL THEN
        -- Waits for another transaction that binds the same key.
        INSERT INTO idempotency_keys (order_id, key, body_hash) VALUES (v_id, p_key, p_hash)
            ON CONFLICT (key) DO NOTHING;
        IF NOT FOUND THEN
            DELETE FROM orders WHERE id = v_id;
            SELECT * INTO STRICT v_key FROM idempotency_keys AS k WHERE k.key = p_key;
            RETURN QUERY SELECT NULL::bigint, v_key.order_id, v_key.body_hash = p_hash;
            RETURN;
        END IF;
    END IF;
    RETURN QUERY SELECT v_id, NULL::bigint, NULL::boolean;
END $$;

-- What place_1 answered with the same arguments, when that was committed and the answer is lost.
CREATE FUNCTION placed_1(
    p_wanted bigint, p_owner text, p_customer text, p_items text, p_amount bigint, p_currency text,
    p_method text, p_version integer, p_changed_ms bigint, p_request text, p_traceparent text, p_key text,
    p_hash bytea, p_horizon bigint, p_horizon_ms bigint
) RETURNS TABLE (placed bigint, known bigint, is_same boolean) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT o.id, NULL::bigint, NULL::boolean FROM orders AS o
        WHERE o.id >= p_wanted AND o.id < p_wanted + 1000 AND o.customer_id = p_customer
            AND o.items = p_items AND o.request_id IS NOT DISTINCT FROM p_request
            AND o.changed_ms >= p_changed_ms
            AND (p_key IS NULL OR EXISTS (SELECT 1 FROM idempotency_keys AS k
                WHERE k.order_id = o.id AND k.key = p_key))
        ORDER BY o.id LIMIT 1;
    IF NOT FOUND THEN
        RETURN QUERY SELECT NULL::bigint, k.order_id, k.body_hash = p_hash FROM idempotency_keys AS k
            WHERE k.key = p_key;
    END IF;
END $$;

-- Writes the terminal event of an order that has just ended.
CREATE FUNCTION announce_1(p_order bigint, p_status smallint, p_now bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (number, order_id, event, at_ms, customer_id, items, amount, currency, reason, request_id,
                        traceparent)
    SELECT next_event_1(), id, CASE p_status WHEN 20 THEN 'order.confirmed' ELSE 'order.rejected' END, p_now,
        customer_id, items, amount, currency, reason, request_id, traceparent
    FROM orders WHERE id = p_order;
END $$;

-- What stands of a record that was not written: 0 the same, 1 another claim, 2 something else.
CREATE FUNCTION stands_1(p_order bigint, p_claim integer, p_status smallint) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    v_status smallint;
    v_claim integer;
BEGIN
    SELECT status, claim_no INTO v_status, v_claim FROM orders WHERE id = p_order;
    RETURN CASE
        WHEN NOT FOUND THEN 2
        WHEN v_claim <> p_claim THEN 1
        WHEN v_status = p_status THEN 0
        ELSE 2
    END;
END $$;

-- Ends the order and writes its one event; answers as stands_1.
CREATE FUNCTION end_order_1(p_order bigint, p_claim integer, p_status smallint, p_reason text, p_now bigint)
RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    UPDATE orders SET status = p_status, changed_ms = p_now, reason = p_reason
        WHERE id = p_order AND claim_no = p_claim AND status < 20;
    IF FOUND THEN
        PERFORM announce_1(p_order, p_status, p_now);
        RETURN 0;
    END IF;
    RETURN stands_1(p_order, p_claim, p_status);
END $$;

-- Parks the order; answers as stands_1.
CREATE FUNCTION park_1(p_order bigint, p_claim integer, p_reason text, p_now bigint) RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE orders SET status = 11, changed_ms = p_now, reason = p_reason
        WHERE id = p_order AND claim_no = p_claim AND status = 10;
    IF FOUND THEN
        RETURN 0;
    END IF;
    RETURN stands_1(p_order, p_claim, 11::smallint);
END $$;

CREATE FUNCTION attempt_1(
    p_order bigint, p_claim integer, p_step text, p_worker text, p_now bigint, p_next bigint, p_until bigint,
    p_reason text
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO attempts (order_id, claim_no, step, worker, attempts, first_ms, last_ms, next_ms, until_ms, reason)
    SELECT id, claim_no, p_step, p_worker, 1, p_now, p_now, p_next, p_until, p_reason FROM orders
    WHERE id = p_order AND claim_no = p_claim AND status = 10
    ON CONFLICT (order_id, claim_no, step) DO UPDATE SET attempts = attempts.attempts + 1,
        last_ms = excluded.last_ms, next_ms = excluded.next_ms, until_ms = excluded.until_ms,
        reason = excluded.reason
$$;

CREATE FUNCTION budget_1(p_order bigint, p_claim integer, p_step text, p_used_ms bigint) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO budget_used (order_id, claim_no, step, used_ms)
    SELECT id, claim_no, p_step, p_used_ms FROM orders
    WHERE id = p_order AND claim_no = p_claim AND status = 10
    ON CONFLICT (order_id, claim_no, step) DO UPDATE SET used_ms = excluded.used_ms
$$;

-- The incarnation of an owner; null for a text that is no life.
CREATE FUNCTION incarnation_1(p_owner text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_owner ~ '^[0-9]{1,18}/[0-9]+/[0-9]+$' THEN split_part(p_owner, '/', 1)::bigint END
$$;

-- The unfinished orders that a claim of those lives would take: of one life, or of every life of an earlier
-- incarnation, with those that are parked.
CREATE FUNCTION claimable_1(p_incarnation bigint, p_slot integer, p_epoch bigint, p_new_owner text)
RETURNS TABLE (id bigint, owner text) LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_slot = -1 THEN
        RETURN QUERY SELECT o.id, o.owner FROM orders AS o WHERE o.status < 20 AND o.owner <> p_new_owner
            AND incarnation_1(o.owner) < p_incarnation;
    ELSE
        RETURN QUERY SELECT o.id, o.owner FROM orders AS o WHERE o.status = 10 AND o.owner <> p_new_owner
            AND o.owner = p_incarnation || '/' || p_slot || '/' || p_epoch;
    END IF;
END $$;

-- Fences those lives off and claims some of their unfinished orders: the order's columns, whether it was parked
-- because too many owners died of it, and what of its budgets is used.
CREATE FUNCTION claim_1(
    p_incarnation bigint, p_slot integer, p_epoch bigint, p_new_owner text, p_limit bigint, p_version integer,
    p_most_claims integer, p_parked text, p_now bigint
) RETURNS TABLE (claimed orders, is_parked boolean, used text) LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint;
    v_from text;
    v_was smallint;
    v_order orders;
BEGIN
    PERFORM raise_fence_1(p_incarnation, p_slot, p_epoch);
    FOR v_id, v_from IN
        SELECT o.id, o.owner FROM orders AS o
        WHERE o.id IN (SELECT c.id FROM claimable_1(p_incarnation, p_slot, p_epoch, p_new_owner) AS c)
            AND o.version <= p_version
        ORDER BY o.owner, o.id LIMIT p_limit FOR UPDATE
    LOOP
        UPDATE orders AS o SET owner = p_new_owner, claim_no = o.claim_no + 1, reason = NULL, status = 10,
            fresh_from = CASE WHEN o.status = 11 THEN o.claim_no ELSE o.fresh_from END,
            changed_ms = CASE WHEN o.status = 11 THEN p_now ELSE o.changed_ms END
            WHERE o.id = v_id RETURNING o.* INTO v_order;
        INSERT INTO takeovers (order_id, claim_no, from_owner, to_owner, at_ms)
            VALUES (v_id, v_order.claim_no, v_from, p_new_owner, p_now);
        is_parked := v_order.claim_no - v_order.fresh_from > p_most_claims;
        IF is_parked THEN
            UPDATE orders AS o SET status = 11, changed_ms = p_now, reason = p_parked WHERE o.id = v_id;
        END IF;
        claimed := v_order;
        used := (SELECT json_agg(json_build_array(b.step, b.used_ms))::text FROM budget_used AS b
            WHERE b.order_id = v_id AND b.claim_no > v_order.fresh_from);
        RETURN NEXT;
    END LOOP;
END $$;

-- Hands a parked order back to the cluster, or ends it: 0 recorded, 1 not parked, 2 claimed meanwhile, 3 no such
-- order. `p_claim` is null for what hands it back.
CREATE FUNCTION decide_1(
    p_order bigint, p_act text, p_who text, p_why text, p_claim integer, p_status smallint, p_reason text,
    p_handed_to text, p_given_up text, p_now bigint
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_status smallint;
BEGIN
    IF p_claim IS NULL THEN
        UPDATE orders SET status = 10, reason = NULL, owner = p_handed_to, claim_no = claim_no + 1,
            fresh_from = claim_no + 1, given_up = coalesce(p_given_up, given_up), changed_ms = p_now
            WHERE id = p_order AND status = 11;
    ELSE
        UPDATE orders SET status = p_status, changed_ms = p_now, reason = p_reason, claim_no = claim_no + 1
            WHERE id = p_order AND claim_no = p_claim AND status = 11;
    END IF;
    IF NOT FOUND THEN
        SELECT status INTO v_status FROM orders WHERE id = p_order;
        RETURN CASE WHEN NOT FOUND THEN 3 WHEN v_status = 11 THEN 2 ELSE 1 END;
    END IF;
    IF p_claim IS NOT NULL THEN
        PERFORM announce_1(p_order, p_status, p_now);
    END IF;
    INSERT INTO interventions (order_id, at_ms, act, who, reason) VALUES (p_order, p_now, p_act, p_who, p_why);
    RETURN 0;
END $$;

-- One round of retention: how many keys, events and orders were removed, and the orders of the window that are
-- kept, with one more than that.
CREATE FUNCTION sweep_1(
    p_horizon bigint, p_ended_before_ms bigint, p_events_before_ms bigint, p_key_horizon bigint,
    p_key_horizon_ms bigint, p_keys bigint, p_orders bigint, p_events bigint, p_after bigint, p_kept bigint
) RETURNS TABLE (removed bigint, kept bigint[]) LANGUAGE plpgsql AS $$
DECLARE
    v_many bigint;
    v_old bigint[];
BEGIN
    DELETE FROM idempotency_keys WHERE order_id IN (
        SELECT k.order_id FROM (SELECT i.order_id FROM idempotency_keys AS i WHERE i.order_id < p_key_horizon
            ORDER BY i.order_id LIMIT p_keys) AS k
        WHERE NOT is_key_kept_1(k.order_id, p_key_horizon, p_key_horizon_ms));
    GET DIAGNOSTICS v_many = ROW_COUNT;
    removed := v_many;
    INSERT INTO horizon (one, order_id) VALUES (true, p_horizon)
        ON CONFLICT (one) DO UPDATE SET order_id = greatest(horizon.order_id, excluded.order_id);
    removed := removed + trim_events_1(p_events_before_ms, p_events);
    v_old := ARRAY(SELECT o.id FROM orders AS o WHERE o.id < p_horizon AND o.status >= 20
        AND o.changed_ms < p_ended_before_ms ORDER BY o.id LIMIT p_orders);
    removed := removed + cardinality(v_old);
    INSERT INTO removed_totals AS t (customer_id, currency, orders, amount, before_ms)
        SELECT o.customer_id, o.currency, count(*), least(sum(o.amount), 9223372036854775807)::bigint,
            max(o.changed_ms)
        FROM orders AS o WHERE o.id = ANY (v_old) AND o.status = 20 GROUP BY o.customer_id, o.currency
        ON CONFLICT (customer_id, currency) DO UPDATE SET orders = t.orders + excluded.orders,
            amount = least(t.amount::numeric + excluded.amount, 9223372036854775807)::bigint,
            before_ms = greatest(t.before_ms, excluded.before_ms);
    DELETE FROM takeovers WHERE order_id = ANY (v_old);
    DELETE FROM attempts WHERE order_id = ANY (v_old);
    DELETE FROM budget_used WHERE order_id = ANY (v_old);
    DELETE FROM interventions WHERE order_id = ANY (v_old);
    DELETE FROM idempotency_keys WHERE order_id = ANY (v_old);
    DELETE FROM orders WHERE id = ANY (v_old);
    kept := ARRAY(SELECT o.id FROM orders AS o WHERE o.id > p_after AND o.id < p_horizon ORDER BY o.id
        LIMIT p_kept);
    RETURN NEXT;
END $$;

-- Notes that the workers of this master use the orders, unless one of the same or a later incarnation does.
CREATE FUNCTION note_user_1(p_incarnation bigint, p_master bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO last_user (one, incarnation, master) VALUES (true, p_incarnation, p_master)
    ON CONFLICT (one) DO UPDATE SET incarnation = excluded.incarnation, master = excluded.master
        WHERE last_user.incarnation < excluded.incarnation
$$;
