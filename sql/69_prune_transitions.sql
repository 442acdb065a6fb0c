-- Deletes what ended longer ago than `keep`, at most `at_most` rows, the oldest first, and says how many.
CREATE OR REPLACE FUNCTION stability.prune_transitions(keep interval, at_most integer) RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET timezone = 'UTC'
AS $$
DECLARE
    deleted integer;
BEGIN
    DELETE FROM stability.transition AS t WHERE t.began = ANY (ARRAY(
        SELECT o.began FROM stability.transition AS o WHERE o.until < now() - keep ORDER BY o.began LIMIT at_most));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;
