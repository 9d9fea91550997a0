-- Several hosts use the databases of one cluster. What stands here without a host is of the one that used them
-- alone before hosts had names, and programs of the version before know of no other.

ALTER TABLE writers ADD COLUMN host text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE fences ADD COLUMN host text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE fences DROP CONSTRAINT fences_pkey;
ALTER TABLE fences ADD PRIMARY KEY (host, slot, incarnation, epoch);

-- The host of a life as it is written: 0a1b2c3d of 0a1b2c3d/7/0/3, and nothing of 7/0/3.
CREATE FUNCTION host_of_1(p_life text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE WHEN p_life LIKE '%/%/%/%' THEN split_part(p_life, '/', 1) ELSE '' END;
END $$;

-- A life without its host.
CREATE FUNCTION without_host_1(p_life text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_host text := host_of_1(p_life);
BEGIN
    RETURN CASE WHEN v_host = '' THEN p_life ELSE substr(p_life, length(v_host) + 2) END;
END $$;

CREATE FUNCTION is_fenced_2(p_host text, p_incarnation bigint, p_slot integer, p_epoch bigint) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM fences AS f
            WHERE f.host = p_host AND f.slot = p_slot AND f.incarnation = p_incarnation AND f.epoch = p_epoch)
        OR EXISTS (SELECT 1 FROM fences AS f
            WHERE f.host = p_host AND f.slot = -1 AND f.incarnation > p_incarnation);
END $$;

CREATE OR REPLACE FUNCTION is_fenced_1(p_incarnation bigint, p_slot integer, p_epoch bigint) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN is_fenced_2('', p_incarnation, p_slot, p_epoch);
END $$;

CREATE OR REPLACE FUNCTION is_life_fenced_1(p_life text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_life text := without_host_1(p_life);
BEGIN
    RETURN is_fenced_2(host_of_1(p_life), split_part(v_life, '/', 1)::bigint,
        split_part(v_life, '/', 2)::integer, split_part(v_life, '/', 3)::bigint);
END $$;

-- As register_1, of a writer on that host.
CREATE FUNCTION register_2(p_id bigint, p_host text, p_incarnation bigint, p_slot integer, p_epoch bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(27991890118894963);
    IF p_incarnation IS NOT NULL AND is_fenced_2(p_host, p_incarnation, p_slot, p_epoch) THEN
        RETURN false;
    END IF;
    INSERT INTO writers (id, host, incarnation, slot, epoch, number)
        VALUES (p_id, p_host, p_incarnation, p_slot, p_epoch, 0);
    RETURN true;
END $$;

-- As raise_fence_1, for lives of that host.
CREATE FUNCTION raise_fence_2(p_host text, p_incarnation bigint, p_slot integer, p_epoch bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(27991890118894963);
    IF p_slot = -1 THEN
        DELETE FROM fences AS f WHERE f.host = p_host AND f.incarnation < p_incarnation;
        DELETE FROM writers AS w WHERE w.host = p_host AND w.incarnation < p_incarnation;
    ELSE
        DELETE FROM writers AS w
            WHERE w.host = p_host AND w.incarnation = p_incarnation AND w.slot = p_slot AND w.epoch = p_epoch;
    END IF;
    INSERT INTO fences (host, slot, incarnation, epoch) VALUES (p_host, p_slot, p_incarnation, p_epoch)
        ON CONFLICT DO NOTHING;
END $$;

CREATE OR REPLACE FUNCTION raise_fence_1(p_incarnation bigint, p_slot integer, p_epoch bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM raise_fence_2('', p_incarnation, p_slot, p_epoch);
END $$;
