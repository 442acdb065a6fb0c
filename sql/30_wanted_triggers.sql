-- The triggers that a source needs, and whether each stands as it should: statement-level, after INSERT, UPDATE (of any
-- column), DELETE and TRUNCATE, enabled ALWAYS. Views and foreign tables take none: their source is polled.
CREATE OR REPLACE FUNCTION stability.wanted_triggers(source stability.source)
RETURNS TABLE (relation regclass, name name, present boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.member, wanted.name::name, EXISTS (
        SELECT FROM pg_trigger AS t
        WHERE t.tgrelid = f.member AND t.tgname = wanted.name::name AND t.tgenabled = 'A'
          AND t.tgfoid = to_regprocedure('public.notify_system_stability_change()')
          AND t.tgtype = 60 AND t.tgattr = ''::int2vector AND t.tgqual IS NULL)
    FROM (
        SELECT to_regclass(source.relation), source.trigger_name
        UNION
        SELECT to_regclass(a), 'notify_system_stability_on_' || (parse_ident(a))[2] || '_change'
        FROM unnest(source.also) AS a
    ) AS wanted (relation, name)
    CROSS JOIN LATERAL stability.family(wanted.relation) AS f
    WHERE f.kind IN ('r', 'p')
$$;
