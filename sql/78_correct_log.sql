-- Adds to every row from stability.begin_log() on what the row of that lacked: the difference between a count of the
-- executions and the newest row, `counted` of them both in one snapshot, which is as old as it had to be.
CREATE OR REPLACE FUNCTION stability.correct_log(lacked bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('stability.status_log', 0));
    UPDATE public.status_log AS s SET
        executions_pending = s.executions_pending + lacked[1], executions_ready = s.executions_ready + lacked[2],
        executions_running = s.executions_running + lacked[3], executions_finished = s.executions_finished + lacked[4],
        executions_failed = s.executions_failed + lacked[5], executions_cancelled = s.executions_cancelled + lacked[6]
    FROM stability.kept AS k WHERE s.id >= k.corrected_from AND lacked <> '{0,0,0,0,0,0}';
    UPDATE stability.kept SET corrected_from = NULL;
    PERFORM stability.tell('executions', '"all"');
END
$$;
