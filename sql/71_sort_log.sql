-- Puts the rows that one statement has just logged into the order of their executions' ids, with running counts; a
-- statement changes them in the order in which they lie. It fires at commit, after them and before those of the next
-- statement, under the lock that log_execution() took, so they are the newest. What is not of this transaction stays as
-- it is, and so does the order of one execution's own changes: whatever is noted, the log remains right.
CREATE OR REPLACE FUNCTION stability.sort_log() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
AS $$
#variable_conflict use_variable
DECLARE
    own CONSTANT xid := pg_current_xact_id()::xid;
    newest CONSTANT bigint := (SELECT s.id FROM public.status_log AS s ORDER BY s.id DESC LIMIT 1);
    -- an upsert and a MERGE note what they insert apart from what they update
    same CONSTANT text[] := string_to_array(current_setting('stability.sorted', true), ' ');
    amount CONSTANT bigint := NEW.amount + CASE WHEN same[1] = newest::text THEN same[2]::bigint ELSE 0 END;
    run record;
BEGIN
    DELETE FROM stability.unsorted;
    PERFORM set_config('stability.sorted', concat(newest, ' ', amount), true);
    SELECT min(logged.id) AS lowest, bool_and(logged.mine) AS mine, bool_or(logged.back) AS back INTO run
    FROM (
        SELECT s.id, s.xmin = own AND s.execution_id IS NOT NULL AS mine,
            s.execution_id < lag(s.execution_id) OVER (ORDER BY s.id) AS back
        FROM public.status_log AS s WHERE s.id > newest - amount
    ) AS logged;
    IF run.mine IS NOT TRUE OR run.back IS NOT TRUE THEN
        RETURN NULL;
    END IF;

    WITH change AS (
        SELECT s.id, s.execution_id, s.status_from, s.status_to,
            s.executions_pending - lag(s.executions_pending, 1, 0) OVER ids AS pending,
            s.executions_ready - lag(s.executions_ready, 1, 0) OVER ids AS ready,
            s.executions_running - lag(s.executions_running, 1, 0) OVER ids AS running,
            s.executions_finished - lag(s.executions_finished, 1, 0) OVER ids AS finished,
            s.executions_failed - lag(s.executions_failed, 1, 0) OVER ids AS failed,
            s.executions_cancelled - lag(s.executions_cancelled, 1, 0) OVER ids AS cancelled
        FROM public.status_log AS s WHERE s.id >= run.lowest - 1
        WINDOW ids AS (ORDER BY s.id)
    ), sorted AS (
        SELECT run.lowest - 1 + row_number() OVER sorting AS id, c.execution_id, c.status_from, c.status_to,
            sum(c.pending) OVER sorting AS pending, sum(c.ready) OVER sorting AS ready, sum(c.running) OVER sorting AS running,
            sum(c.finished) OVER sorting AS finished, sum(c.failed) OVER sorting AS failed,
            sum(c.cancelled) OVER sorting AS cancelled
        FROM change AS c WHERE c.id >= run.lowest
        WINDOW sorting AS (ORDER BY c.execution_id, c.id ROWS UNBOUNDED PRECEDING)
    )
    UPDATE public.status_log AS s SET execution_id = n.execution_id, status_from = n.status_from, status_to = n.status_to,
        executions_pending = b.pending + n.pending, executions_ready = b.ready + n.ready,
        executions_running = b.running + n.running, executions_finished = b.finished + n.finished,
        executions_failed = b.failed + n.failed, executions_cancelled = b.cancelled + n.cancelled
    FROM sorted AS n, (
        SELECT coalesce(max(x.executions_pending), 0) AS pending, coalesce(max(x.executions_ready), 0) AS ready,
            coalesce(max(x.executions_running), 0) AS running, coalesce(max(x.executions_finished), 0) AS finished,
            coalesce(max(x.executions_failed), 0) AS failed, coalesce(max(x.executions_cancelled), 0) AS cancelled
        FROM public.status_log AS x WHERE x.id = run.lowest - 1
    ) AS b
    WHERE s.id = n.id;
    RETURN NULL;
END
$$;
