-- The import jobs behind the badge, at most `shown` of them (all, when null).
CREATE OR REPLACE FUNCTION stability.import_jobs_in_progress(shown integer) RETURNS SETOF json
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
    SELECT stability.in_progress('import_job', shown,
        ARRAY['id', 'slug', 'state', 'priority', 'total_rows', 'imported_rows', 'progress_pct'])
$$;
