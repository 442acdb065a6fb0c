-- Fails executions that have been in a status for longer than `deadlines` allows it, {"RUNNING": "6 hours", …}, and ends
-- those that have been CANCELLING for longer than `cancelling`; none is failed that has not been what it is for `grace`.
-- At most `at_most` at a time. What somebody else is changing is passed over, and told with no status_to. The age of a
-- status is told by the log; what the log knows nothing of is at least as old as the log.
--
-- Who has looked for all of them at `seen` need not look at all that is under way again, but at the changes that have become
-- too old since then, and at a minute more of them, in which a commit may have waited for its disk.
CREATE OR REPLACE FUNCTION stability.expire_executions(
    deadlines jsonb, grace interval, cancelling interval, at_most integer, seen timestamptz
) RETURNS TABLE (execution text, status_from text, status_to text)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET timezone = 'UTC'
AS $$
#variable_conflict use_variable
DECLARE
    reason CONSTANT text := (
        SELECT a.attname FROM pg_attribute AS a
        WHERE a.attrelid = 'public.executions'::regclass AND a.attname IN ('error_message', 'reason') AND NOT a.attisdropped
        ORDER BY a.attname LIMIT 1);
    began CONSTANT timestamptz := (SELECT s."timestamp" FROM public.status_log AS s ORDER BY s.id LIMIT 1);
    allowed record;
    overdue record;
    candidates refcursor;
    changed integer;
    ended integer := 0;
BEGIN
    FOR allowed IN
        SELECT a.*, seen - a.age - interval '1 min' AS earliest, clock_timestamp() - a.age AS latest
        FROM (
            SELECT d.key AS status, greatest(d.value::interval, grace) AS age, 'FAILED' AS next
            FROM jsonb_each_text(deadlines) AS d WHERE d.key IN ('PENDING', 'READY', 'RUNNING')
            UNION ALL
            SELECT 'CANCELLING', cancelling, 'CANCELLED' WHERE cancelling IS NOT NULL
        ) AS a
    LOOP
        IF seen IS NULL OR began > allowed.earliest AND began <= allowed.latest THEN
            OPEN candidates FOR
                SELECT e.id FROM public.executions AS e
                WHERE e.status::text = allowed.status AND allowed.latest >= coalesce((
                    SELECT s."timestamp" FROM public.status_log AS s WHERE s.execution_id = e.id ORDER BY s.id DESC LIMIT 1
                ), began)
                ORDER BY e.id;
        ELSE
            OPEN candidates FOR
                SELECT e.id FROM public.status_log AS s JOIN public.executions AS e ON e.id = s.execution_id
                WHERE s."timestamp" > allowed.earliest AND s."timestamp" <= allowed.latest
                  AND e.status::text = allowed.status
                  AND NOT EXISTS (SELECT FROM public.status_log AS n WHERE n.execution_id = s.execution_id AND n.id > s.id)
                ORDER BY s."timestamp", s.id;
        END IF;
        WHILE ended < at_most LOOP
            FETCH candidates INTO overdue;
            EXIT WHEN NOT FOUND;
            EXECUTE format('UPDATE public.executions SET status = %L %s WHERE id = (
                    SELECT e.id FROM public.executions AS e WHERE e.id = $1 AND e.status::text = $2 FOR UPDATE SKIP LOCKED)',
                allowed.next, CASE WHEN reason IS NOT NULL AND allowed.next = 'FAILED' THEN format(', %I = %L', reason,
                    format('Overdue: %s for longer than %s', allowed.status, allowed.age)) END)
                USING overdue.id, allowed.status;
            GET DIAGNOSTICS changed = ROW_COUNT;
            ended := ended + changed;
            RETURN QUERY SELECT overdue.id::text, allowed.status, CASE WHEN changed > 0 THEN allowed.next END;
        END LOOP;
        CLOSE candidates;
    END LOOP;
END
$$;
