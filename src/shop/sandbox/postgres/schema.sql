-- The ledger of the built-in provider, as in `sandbox.db` (src/shop/sandbox/ledger.rs): rows are added and never
-- changed.

CREATE TABLE attempt (
    provider_key text COLLATE "C" PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('charge', 'cancel', 'refund')),
    outcome      text NOT NULL CHECK (outcome IN ('succeeded', 'declined', 'refused')),
    code         text,
    order_id     text,
    amount       bigint,
    currency     text,
    method       text,
    refund_of    text COLLATE "C" REFERENCES attempt (provider_key),
    at           text NOT NULL
);
CREATE INDEX attempt_of_order ON attempt (order_id);
-- A charge is given back at most once.
CREATE UNIQUE INDEX attempt_refund_of ON attempt (refund_of) WHERE refund_of IS NOT NULL;

CREATE FUNCTION is_append_only_1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only';
END $$;
CREATE TRIGGER attempt_is_never_changed BEFORE UPDATE OR DELETE ON attempt
    FOR EACH ROW EXECUTE FUNCTION is_append_only_1();
CREATE TRIGGER attempt_is_never_emptied BEFORE TRUNCATE ON attempt
    FOR EACH STATEMENT EXECUTE FUNCTION is_append_only_1();

-- The money that was taken and not given back.
CREATE VIEW standing_charge AS
    SELECT provider_key, order_id, amount, currency, method, at FROM attempt AS charge
    WHERE kind = 'charge' AND outcome = 'succeeded'
        AND NOT EXISTS (SELECT 1 FROM attempt AS refund WHERE refund.refund_of = charge.provider_key);

-- Adds an attempt, unless its key is taken: whether it was added, and the attempt under the key.
CREATE FUNCTION add_1(
    p_key text, p_kind text, p_outcome text, p_code text, p_order text, p_amount bigint, p_currency text,
    p_method text, p_at text
) RETURNS TABLE (added boolean, entry attempt) LANGUAGE plpgsql AS $$
DECLARE
    v_added boolean;
BEGIN
    INSERT INTO attempt (provider_key, kind, outcome, code, order_id, amount, currency, method, at)
        VALUES (p_key, p_kind, p_outcome, p_code, p_order, p_amount, p_currency, p_method, p_at)
        ON CONFLICT (provider_key) DO NOTHING;
    v_added := FOUND;
    RETURN QUERY SELECT v_added, a FROM attempt AS a WHERE a.provider_key = p_key;
END $$;

-- Gives the whole of a charge back, once: 0 done, now or before; 1 there is no such charge; 2 the key was used
-- for something else; 3 the charge was given back under another key.
CREATE FUNCTION refund_1(p_key text, p_charge text, p_at text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_charge attempt;
    v_known attempt;
BEGIN
    SELECT * INTO v_charge FROM attempt WHERE provider_key = p_charge AND kind = 'charge'
        AND outcome = 'succeeded' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 1;
    END IF;
    SELECT * INTO v_known FROM attempt WHERE provider_key = p_key;
    IF FOUND THEN
        RETURN CASE WHEN v_known.kind = 'refund' AND v_known.refund_of = p_charge THEN 0 ELSE 2 END;
    END IF;
    IF EXISTS (SELECT 1 FROM attempt WHERE refund_of = p_charge) THEN
        RETURN 3;
    END IF;
    INSERT INTO attempt (provider_key, kind, outcome, code, order_id, amount, currency, method, refund_of, at)
        VALUES (p_key, 'refund', v_charge.outcome, v_charge.code, v_charge.order_id, v_charge.amount,
            v_charge.currency, v_charge.method, p_charge, p_at);
    RETURN 0;
END $$;

-- The services write no event here, but the outbox's functions are the same in every database.
CREATE TABLE outbox (number bigint PRIMARY KEY, at_ms bigint NOT NULL);
