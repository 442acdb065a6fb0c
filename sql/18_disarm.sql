-- Stops the hints, if the register still holds what the hint carried: the servers that relied on that value have been
-- told by the same hint. Another value is another server's, which has not been told.
CREATE OR REPLACE FUNCTION stability.disarm(seen bigint) RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('stability.armed_until', 0));
    IF pg_sequence_last_value('stability.armed_until') IS DISTINCT FROM seen OR seen = 0 THEN
        RETURN false;
    END IF;
    PERFORM setval('stability.armed_until', 0);
    RETURN true;
END
$$;
