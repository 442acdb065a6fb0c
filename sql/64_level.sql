-- What a status of any monitor means: ok, processing, warning, critical or, whatever is not listed, unknown. The same table
-- is in stability/levels.py.
CREATE OR REPLACE FUNCTION stability.level(status text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN status IN ('ok', 'stable', 'running', 'passing', 'FINISHED', 'completed') THEN 'ok'
        WHEN status IN ('processing', 'PENDING', 'READY', 'RUNNING', 'CANCELLING', 'pending', 'installing', 'starting')
            THEN 'processing'
        WHEN status IN ('warning', 'not_created', 'CANCELLED', 'stopped', 'stale') THEN 'warning'
        WHEN status IN ('critical', 'unhealthy', 'failed', 'FAILED', 'no_compose') THEN 'critical'
        ELSE 'unknown'
    END
$$;
