-- What the database of every service has.

-- One row for each process that writes: see src/postgres/mod.rs.
CREATE TABLE writers (
    id          bigint PRIMARY KEY,
    incarnation bigint,          -- the life of a worker; null for a command of an operator
    slot        integer,
    epoch       bigint,
    number      bigint NOT NULL  -- of its last transaction
) WITH (fillfactor = 50);

-- Lives that may write nothing more. A row with slot -1 stands for every life of an earlier incarnation.
CREATE TABLE fences (
    slot        integer NOT NULL,
    incarnation bigint NOT NULL,
    epoch       bigint NOT NULL,
    PRIMARY KEY (slot, incarnation, epoch)
);

-- The line of numbers that the events of this database have. Its id is this database's own.
CREATE TABLE event_stream (
    one            boolean PRIMARY KEY CHECK (one),
    id             bigint NOT NULL,
    born           text NOT NULL,             -- the server, the database and the timeline that it belongs to
    base           bigint NOT NULL DEFAULT 0, -- is added to the numbers that transactions give
    removed_number bigint NOT NULL DEFAULT 0, -- of the newest event that is no longer kept
    removed_ms     bigint NOT NULL DEFAULT 0
);

-- Which database it is: a copy or a restored one has another timeline, or is another database.
CREATE FUNCTION birth_1() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT system_identifier::text || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
        || '/' || (SELECT timeline_id FROM pg_control_checkpoint())
    FROM pg_control_system()
$$;

-- The numbers that events of a transaction have lie behind the one that this makes of its id.
CREATE FUNCTION number_of_1(p_xid xid8) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (p_xid::text::bigint << 20) + coalesce((SELECT base FROM event_stream), 0);
END $$;

-- What the base has to be at least, so that the next event has a higher number than that one.
CREATE FUNCTION base_above_1(p_newest bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT greatest(0, p_newest - (pg_current_xact_id()::text::bigint << 20))
$$;

CREATE FUNCTION is_fenced_1(p_incarnation bigint, p_slot integer, p_epoch bigint) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM fences WHERE slot = p_slot AND incarnation = p_incarnation AND epoch = p_epoch)
        OR EXISTS (SELECT 1 FROM fences WHERE slot = -1 AND incarnation > p_incarnation);
END $$;

-- The same of a life as it is written, such as 7/0/3.
CREATE FUNCTION is_life_fenced_1(p_life text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN is_fenced_1(split_part(p_life, '/', 1)::bigint, split_part(p_life, '/', 2)::integer,
        split_part(p_life, '/', 3)::bigint);
END $$;

-- The writer's first word. False when its life is fenced off. Fences are raised under the same lock, so none is
-- missed.
CREATE FUNCTION register_1(p_id bigint, p_incarnation bigint, p_slot integer, p_epoch bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(27991890118894963);
    IF p_incarnation IS NOT NULL AND is_fenced_1(p_incarnation, p_slot, p_epoch) THEN
        RETURN false;
    END IF;
    INSERT INTO writers (id, incarnation, slot, epoch, number)
        VALUES (p_id, p_incarnation, p_slot, p_epoch, 0);
    RETURN true;
END $$;

-- The first statement of each transaction.
CREATE FUNCTION begin_1(p_id bigint, p_before bigint, p_number bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE writers SET number = p_number WHERE id = p_id AND number = p_before;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this writer is fenced off' USING ERRCODE = 'CL001';
    END IF;
END $$;

-- Whether the transaction of that number was committed; null when the writer's row is gone. It never is after
-- this, when it was not: the number is raised past it.
CREATE FUNCTION settle_1(p_id bigint, p_before bigint, p_number bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_number bigint;
BEGIN
    SELECT number INTO v_number FROM writers WHERE id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF v_number = p_before THEN
        UPDATE writers SET number = p_number WHERE id = p_id;
        RETURN false;
    END IF;
    RETURN v_number = p_number;
END $$;

-- Fences that a new one covers are removed, and so are the rows of the writers that it bars: that waits for
-- what they have under way, and none of them begins anything after it.
CREATE FUNCTION raise_fence_1(p_incarnation bigint, p_slot integer, p_epoch bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(27991890118894963);
    IF p_slot = -1 THEN
        DELETE FROM fences WHERE incarnation < p_incarnation;
        DELETE FROM writers WHERE incarnation < p_incarnation;
    ELSE
        DELETE FROM writers WHERE incarnation = p_incarnation AND slot = p_slot AND epoch = p_epoch;
    END IF;
    INSERT INTO fences (slot, incarnation, epoch) VALUES (p_slot, p_incarnation, p_epoch)
        ON CONFLICT DO NOTHING;
END $$;

-- Behind the transactions that have ended, whatever else happens: an event with a number before this is never
-- followed by one with a lower number.
CREATE FUNCTION events_end_1() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT number_of_1(pg_snapshot_xmin(pg_current_snapshot()))
$$;

-- The line of numbers; a new one when the database is not the one that the old line belongs to, or is behind
-- what is known of it. A database that was restored into another server may have higher numbers than the
-- transactions there give.
CREATE FUNCTION event_line_1(p_known_id bigint, p_known_number bigint, p_newest bigint, p_new bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_line event_stream;
BEGIN
    PERFORM pg_advisory_xact_lock(27991890118894964);
    SELECT * INTO v_line FROM event_stream;
    IF FOUND AND v_line.born = birth_1()
        AND NOT (coalesce(p_known_id = v_line.id, false) AND p_known_number > p_newest) THEN
        RETURN v_line.id;
    END IF;
    INSERT INTO event_stream (one, id, born, base) VALUES (true, p_new, birth_1(), base_above_1(p_newest))
        ON CONFLICT (one) DO UPDATE SET id = excluded.id, born = excluded.born,
            base = greatest(event_stream.base, excluded.base);
    RETURN p_new;
END $$;
