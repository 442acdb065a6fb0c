-- The analytics tasks behind the badge, at most `shown` of them (all, when null).
CREATE OR REPLACE FUNCTION stability.analytics_tasks_in_progress(shown integer) RETURNS SETOF json
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
    SELECT stability.in_progress('analytics_tasks', shown, ARRAY['id', 'command', 'state', 'created_at', 'duration_ms'])
$$;
