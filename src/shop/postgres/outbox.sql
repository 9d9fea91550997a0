-- What every outbox has. The service makes the table, with a number and a time.

-- The number of the next event of this transaction.
CREATE FUNCTION next_event_1() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_first bigint := number_of_1(pg_current_xact_id());
BEGIN
    -- Later transactions may have committed before this one.
    RETURN coalesce((SELECT max(number) FROM outbox WHERE number >= v_first AND number < v_first + (1 << 20)),
        v_first) + 1;
END $$;

-- Removes some events from before that time from the front; how many. The newest event stays, and so does what
-- may not be read yet.
CREATE FUNCTION trim_events_1(p_before_ms bigint, p_limit bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_event record;
    v_last bigint;
    v_newest_ms bigint := 0;
    v_end bigint := least(events_end_1(), (SELECT max(number) FROM outbox));
    v_many bigint := 0;
BEGIN
    PERFORM 1 FROM event_stream FOR UPDATE;
    FOR v_event IN SELECT number, at_ms FROM outbox WHERE number < v_end ORDER BY number LIMIT p_limit LOOP
        EXIT WHEN v_event.at_ms >= p_before_ms;
        v_last := v_event.number;
        v_newest_ms := greatest(v_newest_ms, v_event.at_ms);
        v_many := v_many + 1;
    END LOOP;
    IF v_last IS NOT NULL THEN
        DELETE FROM outbox WHERE number <= v_last;
        UPDATE event_stream SET removed_number = greatest(removed_number, v_last),
            removed_ms = greatest(removed_ms, v_newest_ms);
    END IF;
    RETURN v_many;
END $$;
