-- What keeps nobody from the truth, and may yet surprise: each with its remedy; no rows where there is nothing of it.
CREATE OR REPLACE FUNCTION stability.warnings() RETURNS TABLE (object text, problem text, remedy text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%s %s', k.kind, c.oid::regclass),
        'is somebody else''s: services of Consul are neither stored nor shown, and without Consul that is no loss',
        'where services are wanted, rename it or move it into another schema, then run'
            ' "stability migrate --uninstall" and "stability migrate", which lose the history of the badge'
    FROM unnest(ARRAY['public.services', 'public.health_checks']) AS t
    JOIN pg_class AS c ON c.oid = to_regclass(t)
    CROSS JOIN LATERAL (SELECT CASE c.relkind
            WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
            WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' ELSE 'relation' END) AS k (kind)
    WHERE NOT stability.is_ours(c.oid, 'pg_class')
$$;
