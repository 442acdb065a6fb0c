-- Writes the change of one execution's status into the log, in the transaction that makes it, with the counts after it.
--
-- It is a deferred constraint trigger: it fires at commit, in the order of the changes. There it takes the lock that all
-- such commits share, and keeps it until the commit is visible to everybody. So whoever has it reads the newest row, and
-- the order of ids is the order of commits. Taken by the statement instead, the lock deadlocked with the locks on rows,
-- or throttled writers to 21 transactions a second; without it two that finish at once both logged one finished.
--
-- A REPEATABLE READ writer may get the lock and still see an older row as the newest. Its id is taken then, and ON
-- CONFLICT, which may not overlook a row that its snapshot does not show, fails with 40001: he has to begin again. That
-- is the one writer that this fails, unlike the badge's trigger, which never does, since his log could not be right.
--
-- An execution of an adopted table may have no status: it counts nowhere, as one that is not there.
--
-- An empty log means that no execution had been there: stability.begin_log() and log_executions() write a first row where
-- one had. It runs with our rights, because writers need none on the log. Without the planner settings a plan made over
-- a small log would walk and sort all of it, for each of the 10,000 rows that one statement changes.
CREATE OR REPLACE FUNCTION stability.log_execution() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET timezone = 'UTC'
AS $$
#variable_conflict use_variable
DECLARE
    changed record := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    left_ text := '';
    reached text := '';
BEGIN
    IF TG_OP <> 'INSERT' THEN
        left_ := coalesce(OLD.status::text, '');
    END IF;
    IF TG_OP <> 'DELETE' THEN
        reached := coalesce(NEW.status::text, '');
    END IF;
    IF TG_OP = 'UPDATE' AND reached IN ('FINISHED', 'FAILED', 'CANCELLED') THEN
        PERFORM stability.alert_execution(to_jsonb(NEW));
    END IF;

    PERFORM pg_advisory_xact_lock(hashtextextended('stability.status_log', 0));
    INSERT INTO public.status_log (id, "timestamp", executions_pending, executions_ready, executions_running,
        executions_finished, executions_failed, executions_cancelled, status_from, status_to, execution_id)
    OVERRIDING SYSTEM VALUE
    SELECT coalesce(l.id, 0) + 1, clock_timestamp(),
        coalesce(l.executions_pending, 0) + (reached = 'PENDING')::integer - (left_ = 'PENDING')::integer,
        coalesce(l.executions_ready, 0) + (reached = 'READY')::integer - (left_ = 'READY')::integer,
        coalesce(l.executions_running, 0) + (reached IN ('RUNNING', 'CANCELLING'))::integer
            - (left_ IN ('RUNNING', 'CANCELLING'))::integer,
        coalesce(l.executions_finished, 0) + (reached = 'FINISHED')::integer - (left_ = 'FINISHED')::integer,
        coalesce(l.executions_failed, 0) + (reached = 'FAILED')::integer - (left_ = 'FAILED')::integer,
        coalesce(l.executions_cancelled, 0) + (reached = 'CANCELLED')::integer - (left_ = 'CANCELLED')::integer,
        nullif(left_, ''), nullif(reached, ''), changed.id
    FROM (VALUES (true)) AS always
    LEFT JOIN LATERAL (SELECT s.* FROM public.status_log AS s ORDER BY s.id DESC LIMIT 1) AS l ON true
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'Somebody else writes into public.status_log; its next row was taken, so this change was undone.'
            USING ERRCODE = 'serialization_failure', HINT = 'Try again; let nobody but Stability write that table.';
    END IF;

    -- as stability.tell() does it, without the call: this runs for each row
    IF current_setting('max_prepared_transactions') = '0' AND pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify('stability_change', '{"topic":"executions","ids":"all"}');
    END IF;
    RETURN NULL;
END
$$;
