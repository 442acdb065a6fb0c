-- Writes the counts into the log where they changed all at once: executions were truncated, or the log itself was.
--
-- TRUNCATE of executions locks out every other writer, and Postgres refuses it to one with changes that are not logged
-- yet. TRUNCATE of the log locks out everybody who logs, so the lock of log_execution() would only deadlock with them;
-- the writer's own changes are logged before, or they would be counted twice.
CREATE OR REPLACE FUNCTION stability.log_executions() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET timezone = 'UTC'
AS $$
BEGIN
    IF TG_WHEN = 'BEFORE' THEN
        SET CONSTRAINTS public.log_execution_insert, public.log_execution_update, public.log_execution_delete,
            stability.sort_log IMMEDIATE;
        SET CONSTRAINTS public.log_execution_insert, public.log_execution_update, public.log_execution_delete,
            stability.sort_log DEFERRED;
        RETURN NULL;
    END IF;
    IF TG_RELID <> to_regclass('public.status_log') THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('stability.status_log', 0));
    END IF;
    INSERT INTO public.status_log (id, "timestamp", executions_pending, executions_ready, executions_running,
        executions_finished, executions_failed, executions_cancelled)
    OVERRIDING SYSTEM VALUE
    SELECT coalesce(l.id, 0) + 1, clock_timestamp(), c.pending, c.ready, c.running, c.finished, c.failed, c.cancelled
    FROM stability.execution_counts() AS c
    LEFT JOIN LATERAL (SELECT s.* FROM public.status_log AS s ORDER BY s.id DESC LIMIT 1) AS l ON true
    -- each partition says the same; an older snapshot may show another row than the newest as the newest
    WHERE current_setting('transaction_isolation') <> 'read committed'
       OR (c.pending, c.ready, c.running, c.finished, c.failed, c.cancelled) IS DISTINCT FROM (
            coalesce(l.executions_pending, 0)::bigint, coalesce(l.executions_ready, 0)::bigint,
            coalesce(l.executions_running, 0)::bigint, coalesce(l.executions_finished, 0)::bigint,
            coalesce(l.executions_failed, 0)::bigint, coalesce(l.executions_cancelled, 0)::bigint)
    ON CONFLICT DO NOTHING;
    PERFORM stability.tell('executions', '"all"');
    RETURN NULL;
END
$$;
