-- The first two sources, import jobs and analytics tasks, described over the tables as they are: with a text, varchar or
-- enum state, with or without scheduled_at. What is not settled is active, a label of tomorrow too. A table that somebody
-- dropped is left out; its registered source then says what is missing.
CREATE OR REPLACE FUNCTION stability.standard_sources() RETURNS SETOF stability.source
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT d.*
    FROM to_regclass('public.import_job') AS job,
        stability.state_in(job,
            ARRAY['finished', 'rejected', 'failed', 'waiting_for_review', 'waiting_for_upload']) AS settled,
        stability.describe('import_job', job, coalesce('NOT ' || settled, 'true'),
            NULL, NULL, NULL, NULL, '{}', NULL) AS d
    WHERE stability.has_column(job, 'state')
    UNION ALL
    SELECT d.*
    FROM to_regclass('worker.tasks') AS task,
        to_regclass('worker.command_registry') AS registry,
        stability.state_in(task, ARRAY['completed', 'failed', 'interrupted']) AS settled,
        stability.state_in(task, ARRAY['pending', 'waiting']) AS can_wait,
        stability.describe('analytics_tasks', task, coalesce('NOT ' || settled, 'true'),
            CASE WHEN can_wait IS NOT NULL AND stability.has_column(task, 'scheduled_at') THEN 'scheduled_at' END,
            can_wait, 'command',
            'SELECT r.command FROM worker.command_registry AS r WHERE r.queue::text = ''analytics''',
            ARRAY[registry], 'notify_system_stability_on_task_change') AS d
    WHERE stability.has_column(task, 'state') AND registry IS NOT NULL
$$;
