-- The row of stability.source for the arguments of watch(): names qualified and quoted, defaults filled in.
CREATE OR REPLACE FUNCTION stability.describe(
    name text, relation regclass, active_when text, due text, deferred_when text, group_by text, groups text,
    also regclass[], trigger_name text
) RETURNS stability.source
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT name, stability.qualified(relation), active_when, due,
        CASE WHEN due IS NOT NULL THEN coalesce(deferred_when, 'true') END,
        group_by, groups,
        ARRAY(SELECT stability.qualified(a) FROM unnest(also) AS a),
        coalesce(trigger_name, 'notify_system_stability_on_' || name || '_change'),
        EXISTS (SELECT FROM stability.family(relation) AS f WHERE f.kind NOT IN ('r', 'p'))
            OR EXISTS (SELECT FROM unnest(also) AS a, stability.family(a) AS f WHERE f.kind NOT IN ('r', 'p'))
$$;
