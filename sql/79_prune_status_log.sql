-- Deletes rows of the log that are older than `keep`, at most `at_most` of them, the oldest first, and says how many. The
-- newest row stays, however old: the next change is added to it.
CREATE OR REPLACE FUNCTION stability.prune_status_log(keep interval, at_most integer) RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET enable_seqscan = off
SET timezone = 'UTC'
AS $$
DECLARE
    deleted integer;
BEGIN
    DELETE FROM public.status_log AS s WHERE s.id = ANY (ARRAY(
        SELECT o.id FROM public.status_log AS o WHERE o."timestamp" < now() - keep
        ORDER BY o."timestamp", o.id LIMIT at_most));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;
