-- Payments. Every column means what it means in `payments.db` (src/shop/payments/sqlite/schema.rs).

CREATE TABLE payments (
    order_id    bigint PRIMARY KEY,
    state       smallint NOT NULL CHECK (state IN (10, 20, 30)), -- succeeded, declined, cancelled
    claim_no    integer NOT NULL,
    amount      bigint NOT NULL CHECK (amount >= 0),
    currency    text NOT NULL,
    method      text NOT NULL,
    receipt     text,
    code        text,
    message     text,
    at_ms       bigint NOT NULL,
    by          text NOT NULL,
    refund      text,
    refunded_ms bigint,
    refunded_by text,
    CHECK ((state = 10) = (receipt IS NOT NULL)),
    CHECK (refund IS NULL OR state = 10)
);

CREATE TABLE outbox (
    number   bigint PRIMARY KEY,
    order_id bigint NOT NULL,
    state    smallint NOT NULL, -- 10 succeeded, 20 declined, 30 cancelled, 40 refunded
    at_ms    bigint NOT NULL,
    amount   bigint NOT NULL,
    currency text NOT NULL
);

-- Records how the payment ended, unless that is recorded already: whether the claim stands, and what stands. A
-- higher claim is recorded in either case.
CREATE FUNCTION record_1(
    p_order bigint, p_claim integer, p_state smallint, p_amount bigint, p_currency text, p_method text,
    p_receipt text, p_code text, p_message text, p_now bigint, p_by text
) RETURNS TABLE (noted boolean, payment payments) LANGUAGE plpgsql AS $$
BEGIN
    IF is_life_fenced_1(p_by) THEN
        RETURN QUERY SELECT false, NULL::payments;
        RETURN;
    END IF;
    INSERT INTO payments AS p (order_id, state, claim_no, amount, currency, method, receipt, code, message, at_ms, by)
        VALUES (p_order, p_state, p_claim, p_amount, p_currency, p_method, p_receipt, p_code, p_message, p_now, p_by)
        ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO outbox (number, order_id, state, at_ms, amount, currency)
            VALUES (next_event_1(), p_order, p_state, p_now, p_amount, p_currency);
    ELSE
        UPDATE payments AS p SET claim_no = p_claim WHERE p.order_id = p_order AND p.claim_no <= p_claim;
    END IF;
    RETURN QUERY SELECT p.claim_no = p_claim, p FROM payments AS p WHERE p.order_id = p_order;
END $$;

-- Records that the charge was given back. Answers as record_1.
CREATE FUNCTION refund_1(p_order bigint, p_claim integer, p_refund text, p_now bigint, p_by text)
RETURNS TABLE (noted boolean, payment payments) LANGUAGE plpgsql AS $$
BEGIN
    IF is_life_fenced_1(p_by) THEN
        RETURN QUERY SELECT false, NULL::payments;
        RETURN;
    END IF;
    UPDATE payments AS p SET claim_no = p_claim, refund = p_refund, refunded_ms = p_now, refunded_by = p_by
        WHERE p.order_id = p_order AND p.claim_no <= p_claim AND p.state = 10 AND p.refund IS NULL;
    IF FOUND THEN
        INSERT INTO outbox (number, order_id, state, at_ms, amount, currency)
            SELECT next_event_1(), p_order, 40, p_now, p.amount, p.currency FROM payments AS p
            WHERE p.order_id = p_order;
    END IF;
    RETURN QUERY SELECT p.claim_no <= p_claim, p FROM payments AS p WHERE p.order_id = p_order;
END $$;

-- Removes some payments of orders in the window that are not kept.
CREATE FUNCTION forget_1(p_after bigint, p_before bigint, p_kept bigint[], p_limit bigint) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM payments WHERE order_id IN (SELECT p.order_id FROM payments AS p
        WHERE p.order_id > p_after AND p.order_id < p_before AND p.order_id <> ALL (p_kept)
        ORDER BY p.order_id LIMIT p_limit)
$$;
