-- All analytics tasks behind the badge, for programs that know the function by this name.
CREATE OR REPLACE FUNCTION public.get_analytics_tasks_in_progress() RETURNS SETOF json
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
    SELECT stability.analytics_tasks_in_progress(NULL)
$$;
COMMENT ON FUNCTION public.get_analytics_tasks_in_progress() IS 'pg-stability: analytics tasks not settled';
