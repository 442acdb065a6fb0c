-- Locks the tables on which a source lacks something, or on which something is to be dropped, before the first of them
-- is changed. A lock is never raised later: two transactions that raise theirs wait for each other. Where only settings
-- change, nobody who reads or writes has to wait.
CREATE OR REPLACE FUNCTION stability.hold_for_change(source stability.source) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT stability.hold(array_agg(DISTINCT c.relation ORDER BY c.relation),
        (ARRAY['SHARE UPDATE EXCLUSIVE', 'SHARE ROW EXCLUSIVE', 'ACCESS EXCLUSIVE'])[max(c.need)])
    FROM (
        SELECT w.relation,
            CASE WHEN EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = w.relation AND t.tgname = w.name)
                THEN 3 ELSE 2 END
        FROM stability.wanted_triggers(source) AS w WHERE NOT w.present
        UNION ALL
        SELECT w.relation, 2 FROM stability.wanted_indexes(source) AS w WHERE NOT w.present
        UNION ALL
        SELECT w.relation, 1 FROM stability.wanted_settings(source) AS w WHERE NOT w.present
        UNION ALL
        SELECT o.relation, 3 FROM stability.obsolete() AS o
        UNION ALL
        SELECT o.relation, 1 FROM stability.obsolete_settings() AS o WHERE o.standing
    ) AS c (relation, need)
    HAVING count(*) > 0
$$;
