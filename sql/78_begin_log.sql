-- Lets the log go on from a row of its own, on tables that the caller holds and whose triggers he places in this very
-- transaction: what came before was not logged. The counts of that row are the last known ones; counting a large table
-- would hold up its writers for as long, so stability.correct_log() does that beside them. Where there is nothing to
-- count the log stays empty.
CREATE OR REPLACE FUNCTION stability.begin_log() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.executions) AND NOT EXISTS (SELECT FROM public.status_log) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('stability.status_log', 0));
    WITH begun AS (
        INSERT INTO public.status_log (id, "timestamp", executions_pending, executions_ready, executions_running,
            executions_finished, executions_failed, executions_cancelled)
        OVERRIDING SYSTEM VALUE
        SELECT coalesce(l.id, 0) + 1, clock_timestamp(),
            coalesce(l.executions_pending, 0), coalesce(l.executions_ready, 0), coalesce(l.executions_running, 0),
            coalesce(l.executions_finished, 0), coalesce(l.executions_failed, 0), coalesce(l.executions_cancelled, 0)
        FROM (VALUES (true)) AS always
        LEFT JOIN LATERAL (SELECT s.* FROM public.status_log AS s ORDER BY s.id DESC LIMIT 1) AS l ON true
        RETURNING id
    )
    UPDATE stability.kept AS k SET corrected_from = begun.id FROM begun WHERE k.corrected_from IS NULL;
END
$$;
