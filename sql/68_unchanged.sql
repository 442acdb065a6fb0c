-- The active rows that nobody has written for a minute or more, as far as look_for_stuck() remembers them: of each source
-- so many, the longest unchanged. `since` is when a row was first seen as it is now. A source that cannot be read has none.
CREATE OR REPLACE FUNCTION stability.unchanged(shown integer)
RETURNS TABLE (source text, id jsonb, since timestamptz, seconds bigint)
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    registered stability.source;
BEGIN
    FOR registered IN
        SELECT * FROM stability.source AS s WHERE EXISTS (
            SELECT FROM stability.seen_active AS a
            WHERE a.source = s.name AND a.since <= clock_timestamp() - interval '1 minute')
    LOOP
        BEGIN
            RETURN QUERY EXECUTE format(
                E'SELECT s.source, s.id, s.since, extract(epoch FROM clock_timestamp() - s.since)::bigint FROM (\n%s\n) AS a'
                ' JOIN stability.seen_active AS s ON s.source = $1 AND s.mark = a.mark'
                ' WHERE s.since <= clock_timestamp() - interval ''1 minute'' ORDER BY s.since, s.mark LIMIT $2',
                stability.marked_active_rows(registered)) USING registered.name, shown;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
END
$$;
