-- The application's tables of the DBOS program, in one database. What a step does is one function, so that a step
-- is one round trip to this database, and doing it twice does it once: the order's id is the key of everything.

CREATE TABLE stock (
    sku      text COLLATE "C" PRIMARY KEY,
    price    bigint NOT NULL,
    on_hand  bigint NOT NULL CHECK (on_hand >= 0),
    reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0 AND reserved <= on_hand)
) WITH (fillfactor = 30);

CREATE TABLE orders (
    id       text COLLATE "C" PRIMARY KEY,
    customer text NOT NULL,
    status   text NOT NULL CHECK (status IN ('reserved', 'confirmed', 'out of stock', 'declined')),
    skus     text[] NOT NULL,
    pieces   bigint[] NOT NULL,
    amount   bigint NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE charges (
    order_id text COLLATE "C" PRIMARY KEY,
    method   text NOT NULL,
    amount   bigint NOT NULL,
    outcome  text NOT NULL CHECK (outcome IN ('succeeded', 'declined'))
);

-- Holds the pieces and writes the order; its status and what it costs.
CREATE FUNCTION reserve(p_order text, p_customer text, p_skus text[], p_pieces bigint[])
RETURNS TABLE (status text, amount bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_amount bigint := 0;
    v_has boolean := true;
BEGIN
    RETURN QUERY SELECT o.status, o.amount FROM orders AS o WHERE o.id = p_order;
    IF FOUND THEN
        RETURN;
    END IF;
    -- In one order for everybody, so that no two orders wait for each other.
    PERFORM 1 FROM stock AS s WHERE s.sku = ANY (p_skus) ORDER BY s.sku FOR UPDATE;
    SELECT coalesce(sum(s.price * i.pieces), 0)::bigint, count(*) = cardinality(p_skus)
        AND bool_and(s.on_hand - s.reserved >= i.pieces)
        INTO v_amount, v_has FROM unnest(p_skus, p_pieces) AS i (sku, pieces) JOIN stock AS s USING (sku);
    IF v_has THEN
        UPDATE stock AS s SET reserved = s.reserved + i.pieces FROM unnest(p_skus, p_pieces) AS i (sku, pieces)
            WHERE s.sku = i.sku;
    END IF;
    RETURN QUERY INSERT INTO orders AS o (id, customer, status, skus, pieces, amount)
        VALUES (p_order, p_customer, CASE WHEN v_has THEN 'reserved' ELSE 'out of stock' END, p_skus, p_pieces,
            v_amount)
        RETURNING o.status, o.amount;
END $$;

-- The card. What became of the first try is what becomes of each.
CREATE FUNCTION charge(p_order text, p_method text, p_amount bigint) RETURNS text LANGUAGE sql AS $$
    INSERT INTO charges AS c (order_id, method, amount, outcome)
        VALUES (p_order, p_method, p_amount, CASE p_method WHEN 'pm_card_visa' THEN 'succeeded' ELSE 'declined' END)
        ON CONFLICT (order_id) DO UPDATE SET outcome = c.outcome
        RETURNING c.outcome
$$;

-- Ends an order whose pieces are held: they leave the shelf, or go back to it.
CREATE FUNCTION finish(p_order text, p_status text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_order orders;
    v_leaves integer := CASE p_status WHEN 'confirmed' THEN 1 ELSE 0 END;
BEGIN
    UPDATE orders SET status = p_status WHERE id = p_order AND status = 'reserved' RETURNING * INTO v_order;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM 1 FROM stock AS s WHERE s.sku = ANY (v_order.skus) ORDER BY s.sku FOR UPDATE;
    UPDATE stock AS s SET reserved = s.reserved - i.pieces, on_hand = s.on_hand - v_leaves * i.pieces
        FROM unnest(v_order.skus, v_order.pieces) AS i (sku, pieces) WHERE s.sku = i.sku;
END $$;

INSERT INTO stock (sku, price, on_hand)
    SELECT 'sku-' || lpad(number::text, 4, '0'), 450, 1000000 FROM generate_series(0, 999) AS number;
