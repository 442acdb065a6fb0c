-- Locks the tables on which a source lacks something, or on which something is to be dropped, before the first of them
-- is changed. A lock is never raised later: two transactions that raise theirs wait for each other.
CREATE OR REPLACE FUNCTION stability.hold_for_change(source stability.source) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT stability.hold(array_agg(DISTINCT c.relation ORDER BY c.relation),
        CASE WHEN bool_or(c.drops) THEN 'ACCESS EXCLUSIVE' ELSE 'SHARE ROW EXCLUSIVE' END)
    FROM (
        SELECT w.relation, EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = w.relation AND t.tgname = w.name)
        FROM stability.wanted_triggers(source) AS w WHERE NOT w.present
        UNION ALL
        SELECT w.relation, false FROM stability.wanted_indexes(source) AS w WHERE NOT w.present
        UNION ALL
        SELECT o.relation, true FROM stability.obsolete() AS o
    ) AS c (relation, drops)
    HAVING count(*) > 0
$$;
