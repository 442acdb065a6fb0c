-- What the tables of deployments, applications and services need of ours, and whether it stands: columns, and triggers that
-- are enabled ALWAYS. What has no definition is the owner's to make. Where one is a view, only that is needed; where
-- somebody dropped one, nothing.
CREATE OR REPLACE FUNCTION stability.wanted_parts()
RETURNS TABLE (relation regclass, kind text, name text, definition text, present boolean, problem text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.oid::regclass, k.kind, w.name, CASE
            WHEN w.call IS NOT NULL THEN format('%s ON %s %s EXECUTE FUNCTION stability.%s', w.definition, c.oid::regclass, w.manner, w.call)
            WHEN w.definition IS NOT NULL THEN format('%I %s', w.name, w.definition)
        END,
        found.problem IS NULL, found.problem
    FROM (
        SELECT 'public.deployments' AS relation, d.* FROM stability.deployment_parts() AS d
        UNION ALL
        SELECT 'public.generated_applications', a.* FROM stability.application_parts() AS a
        UNION ALL
        SELECT 'public.services', s.* FROM stability.service_parts() AS s
    ) AS w
    JOIN pg_class AS c ON c.oid = to_regclass(w.relation) AND (c.relkind IN ('r', 'p') OR w.definition IS NULL)
    CROSS JOIN LATERAL (SELECT CASE WHEN w.call IS NULL THEN 'COLUMN' ELSE 'TRIGGER' END) AS k (kind)
    LEFT JOIN pg_trigger AS t ON k.kind = 'TRIGGER' AND t.tgrelid = c.oid AND t.tgname = w.name
    LEFT JOIN pg_proc AS p ON p.oid = t.tgfoid AND p.pronamespace = to_regnamespace('stability')
    CROSS JOIN LATERAL (SELECT CASE
            WHEN k.kind = 'COLUMN' THEN CASE WHEN NOT stability.has_column(c.oid::regclass, w.name) THEN 'is missing' END
            WHEN t.oid IS NULL THEN 'is missing'
            WHEN p.proname IS DISTINCT FROM split_part(w.call, '(', 1) OR NOT stability.is_ours(t.oid, 'pg_trigger') THEN
                'is not the trigger that Stability makes'
            WHEN t.tgenabled = 'D' THEN 'is disabled'
            WHEN t.tgenabled <> 'A' THEN 'is not enabled ALWAYS, so that it sleeps in the replica role'
        END) AS found (problem)
$$;
