-- Fails executions that have been in a status for longer than `deadlines` allows it, {"RUNNING": "6 hours", …}, and ends
-- those that have been CANCELLING for longer than `cancelling`; none is failed that has not been what it is for `grace`.
-- At most `at_most` at a time, passing over those that somebody else is changing. The age of a status is told by the log;
-- what the log knows nothing of is at least as old as the log.
CREATE OR REPLACE FUNCTION stability.expire_executions(
    deadlines jsonb, grace interval, cancelling interval, at_most integer
) RETURNS TABLE (execution text, status_from text, status_to text)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET enable_seqscan = off
SET timezone = 'UTC'
AS $$
DECLARE
    reason CONSTANT text := (
        SELECT a.attname FROM pg_attribute AS a
        WHERE a.attrelid = 'public.executions'::regclass AND a.attname IN ('error_message', 'reason') AND NOT a.attisdropped
        ORDER BY a.attname LIMIT 1);
    began CONSTANT timestamptz := (SELECT s."timestamp" FROM public.status_log AS s ORDER BY s.id LIMIT 1);
    allowed record;
    overdue record;
    found integer := 0;
BEGIN
    FOR allowed IN
        SELECT d.key AS status, greatest(d.value::interval, grace) AS age, 'FAILED' AS next FROM jsonb_each_text(deadlines) AS d
        WHERE d.key IN ('PENDING', 'READY', 'RUNNING')
        UNION ALL
        SELECT 'CANCELLING', cancelling, 'CANCELLED' WHERE cancelling IS NOT NULL
    LOOP
        FOR overdue IN
            SELECT e.id FROM public.executions AS e
            CROSS JOIN LATERAL (SELECT coalesce((
                SELECT s."timestamp" FROM public.status_log AS s WHERE s.execution_id = e.id ORDER BY s.id DESC LIMIT 1
            ), began) AS since) AS known
            WHERE e.status::text = allowed.status AND known.since <= clock_timestamp() - allowed.age
            ORDER BY e.id LIMIT at_most - found FOR UPDATE OF e SKIP LOCKED
        LOOP
            EXECUTE format('UPDATE public.executions SET status = %L %s WHERE id = $1', allowed.next,
                CASE WHEN reason IS NOT NULL AND allowed.next = 'FAILED' THEN format(', %I = %L', reason,
                    format('Overdue: %s for longer than %s', allowed.status, allowed.age)) END) USING overdue.id;
            found := found + 1;
            RETURN QUERY SELECT overdue.id::text, allowed.status, allowed.next;
        END LOOP;
    END LOOP;
END
$$;
