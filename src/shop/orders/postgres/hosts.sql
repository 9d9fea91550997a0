-- The hosts that use the databases, each with its lease: while it is renewed, nobody else takes over the orders
-- of that host. The clock of this server judges it.
CREATE TABLE hosts (
    host        text COLLATE "C" PRIMARY KEY DEFAULT '', -- empty for the one that has no name
    name        text NOT NULL DEFAULT '',      -- for people
    incarnation bigint NOT NULL,               -- of the newest master there
    master      bigint NOT NULL,               -- a hash of that master's name
    renewals    bigint NOT NULL DEFAULT 0,
    renewed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_ms    bigint NOT NULL DEFAULT 0,
    has_left    boolean NOT NULL DEFAULT false -- it has drained and given its lease back
);
INSERT INTO hosts (incarnation, master) SELECT incarnation, master FROM last_user;
DROP TABLE last_user;
-- As programs of the version before read it.
CREATE VIEW last_user AS SELECT true AS one, incarnation, master FROM hosts WHERE host = '';

-- Notes that the workers of this master use the orders, unless one of the same or a later incarnation on the same
-- host does.
CREATE FUNCTION note_user_2(p_host text, p_incarnation bigint, p_master bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO hosts AS h (host, incarnation, master) VALUES (p_host, p_incarnation, p_master)
    ON CONFLICT (host) DO UPDATE SET incarnation = excluded.incarnation, master = excluded.master
        WHERE h.incarnation < excluded.incarnation
$$;

CREATE OR REPLACE FUNCTION note_user_1(p_incarnation bigint, p_master bigint) RETURNS void LANGUAGE sql AS $$
    SELECT note_user_2('', p_incarnation, p_master)
$$;

-- Renews the lease of a host, if this master is still the one that uses the orders from there, and none of its
-- workers has renewed it within `p_fresh_ms`. Then what is known of every host: for how long it has been silent,
-- by this server's clock, with what this clock says and for how long this server has been up.
CREATE FUNCTION renew_lease_1(
    p_host text, p_incarnation bigint, p_master bigint, p_name text, p_lease_ms bigint, p_fresh_ms bigint
) RETURNS TABLE (
    host text, name text, incarnation bigint, master bigint, renewals bigint, silent_ms bigint, lease_ms bigint,
    has_left boolean, up_ms bigint, now_ms bigint
) LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    INSERT INTO hosts AS h (host, name, incarnation, master, renewals, renewed_at, lease_ms)
        VALUES (p_host, p_name, p_incarnation, p_master, 1, v_now, p_lease_ms)
    ON CONFLICT ON CONSTRAINT hosts_pkey DO UPDATE SET renewals = h.renewals + 1, renewed_at = v_now,
            name = excluded.name, lease_ms = excluded.lease_ms, has_left = false
        WHERE h.incarnation = p_incarnation AND h.master = p_master
            AND (h.has_left OR h.lease_ms <> p_lease_ms OR h.renewals = 0
                OR h.renewed_at NOT BETWEEN v_now - p_fresh_ms * interval '1 millisecond' AND v_now);
    v_now := clock_timestamp();
    RETURN QUERY SELECT h.host, h.name, h.incarnation, h.master, h.renewals, milliseconds_1(v_now - h.renewed_at),
        h.lease_ms, h.has_left, milliseconds_1(v_now - pg_postmaster_start_time()),
        milliseconds_1(v_now - timestamptz '1970-01-01 00:00:00+00')
        FROM hosts AS h;
END $$;

CREATE FUNCTION milliseconds_1(p_time interval) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT round(extract(epoch FROM p_time) * 1000)::bigint
$$;

-- Gives the lease of a host back: nothing runs there any more.
CREATE FUNCTION leave_1(p_host text, p_incarnation bigint, p_master bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE hosts SET has_left = true WHERE host = p_host AND incarnation = p_incarnation AND master = p_master
$$;

-- Forgets the hosts that have been silent for so long and own no unfinished order.
CREATE FUNCTION forget_hosts_1(p_silent_ms bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_gone text[] := ARRAY(SELECT h.host FROM hosts AS h
        WHERE h.host <> '' AND h.renewed_at < clock_timestamp() - p_silent_ms * interval '1 millisecond'
            AND NOT EXISTS (SELECT 1 FROM orders AS o WHERE o.status < 20 AND host_of_1(o.owner) = h.host));
BEGIN
    DELETE FROM hosts AS h WHERE h.host = ANY (v_gone);
END $$;

-- The incarnation of an owner on that host; null for another host's, and for a text that is no life.
CREATE FUNCTION incarnation_on_1(p_host text, p_owner text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE WHEN host_of_1(p_owner) = p_host THEN incarnation_1(without_host_1(p_owner)) END;
END $$;

-- As claimable_1, of lives on that host.
CREATE FUNCTION claimable_2(
    p_host text, p_incarnation bigint, p_slot integer, p_epoch bigint, p_new_owner text
) RETURNS TABLE (id bigint, owner text) LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_slot = -1 THEN
        RETURN QUERY SELECT o.id, o.owner FROM orders AS o WHERE o.status < 20 AND o.owner <> p_new_owner
            AND incarnation_on_1(p_host, o.owner) < p_incarnation;
    ELSE
        RETURN QUERY SELECT o.id, o.owner FROM orders AS o WHERE o.status = 10 AND o.owner <> p_new_owner
            AND o.owner = CASE p_host WHEN '' THEN '' ELSE p_host || '/' END
                || p_incarnation || '/' || p_slot || '/' || p_epoch;
    END IF;
END $$;

-- As claim_1, of lives on that host.
CREATE FUNCTION claim_2(
    p_host text, p_incarnation bigint, p_slot integer, p_epoch bigint, p_new_owner text, p_limit bigint,
    p_version integer, p_most_claims integer, p_parked text, p_now bigint
) RETURNS TABLE (claimed orders, is_parked boolean, used text) LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint;
    v_from text;
    v_order orders;
BEGIN
    PERFORM raise_fence_2(p_host, p_incarnation, p_slot, p_epoch);
    FOR v_id, v_from IN
        SELECT o.id, o.owner FROM orders AS o
        WHERE o.id IN (SELECT c.id FROM claimable_2(p_host, p_incarnation, p_slot, p_epoch, p_new_owner) AS c)
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
