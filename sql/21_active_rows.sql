-- The SQL text that finds the active rows of a source: at most `probe_limit` of each group, all when null.
--
-- A predicate that yields NULL counts as active: only what is known to be settled is settled. A due column defers only
-- the rows that `deferred_when` names; they and the others are looked up apart, each in an index that holds nothing
-- else, so that the planner has no choice. The LATERAL … LIMIT keeps it from joining: beside 500,000 pending rows of
-- other groups a plain join took 472 ms, one probe per group 0.2 ms.
CREATE OR REPLACE FUNCTION stability.active_rows(source stability.source, columns text, probe_limit bigint) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(
        CASE
            WHEN source.group_column IS NULL THEN
                format(E'(SELECT %s FROM %s AS t\n  WHERE %s LIMIT %s)', columns, source.relation, condition, bound)
            ELSE
                format(E'(SELECT t.* FROM (SELECT DISTINCT g.key FROM (%s\n) AS g (key)) AS g\n'
                    '  CROSS JOIN LATERAL (SELECT %s FROM %s AS t WHERE t.%I = g.key\n  AND %s LIMIT %s) AS t)',
                    source.groups, columns, source.relation, source.group_column, condition, bound)
        END, E'\nUNION ALL\n')
    FROM coalesce(probe_limit::text, 'ALL') AS bound,
        format(E'(%s\n) IS NOT FALSE', source.active_when) AS active,
        unnest(CASE
            WHEN source.due_column IS NULL THEN ARRAY[active]
            ELSE ARRAY[
                format(E'%s\n  AND (%s\n) IS NOT TRUE', active, source.deferred_when),
                format(E'%s\n  AND (%s\n) IS TRUE AND coalesce(%I, ''-infinity'') <= statement_timestamp()',
                    active, source.deferred_when, source.due_column)]
        END) AS condition
$$;
