-- How many executions are in each status: exact, hence as slow as there are many. Only what begins the log, or begins it
-- anew, counts; from then on each change adds to the row before. CANCELLING still runs.
CREATE OR REPLACE FUNCTION stability.execution_counts(
    OUT pending bigint, OUT ready bigint, OUT running bigint, OUT finished bigint, OUT failed bigint, OUT cancelled bigint
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT coalesce(sum(e.n) FILTER (WHERE e.status = 'PENDING'), 0),
        coalesce(sum(e.n) FILTER (WHERE e.status = 'READY'), 0),
        coalesce(sum(e.n) FILTER (WHERE e.status IN ('RUNNING', 'CANCELLING')), 0),
        coalesce(sum(e.n) FILTER (WHERE e.status = 'FINISHED'), 0),
        coalesce(sum(e.n) FILTER (WHERE e.status = 'FAILED'), 0),
        coalesce(sum(e.n) FILTER (WHERE e.status = 'CANCELLED'), 0)
    INTO pending, ready, running, finished, failed, cancelled
    FROM (SELECT x.status::text, count(*) FROM public.executions AS x GROUP BY x.status) AS e (status, n);
END
$$;
