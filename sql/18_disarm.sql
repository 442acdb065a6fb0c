-- Stops the hints, if the register still holds what a hint carried: the servers that rely on that value listened before it
-- was set, so they have been told by the same hint. Another value is another server's, which has not been told. Hints
-- come in the order of the commits, which is not that of the values: whoever heard several has to compare them all, or he
-- takes for open, and relies on, what another server is about to close.
CREATE OR REPLACE FUNCTION stability.disarm(seen bigint[]) RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('stability.armed_until', 0));
    IF NOT coalesce(pg_sequence_last_value('stability.armed_until') = ANY (array_remove(seen, 0)), false) THEN
        RETURN false;
    END IF;
    PERFORM setval('stability.armed_until', 0);
    RETURN true;
END
$$;
