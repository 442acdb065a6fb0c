-- What is ours on watched tables and no longer wanted by any source; what keeps the log of executions, once it is not
-- kept any more.
CREATE OR REPLACE FUNCTION stability.obsolete() RETURNS TABLE (relation regclass, kind text, object text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.tgrelid::regclass, 'TRIGGER', format('%I ON %s', t.tgname, t.tgrelid::regclass)
    FROM pg_trigger AS t
    WHERE stability.is_ours(t.oid, 'pg_trigger')
      AND (t.tgfoid = to_regprocedure('public.notify_system_stability_change()')
        OR NOT EXISTS (SELECT FROM stability.kept))
      AND NOT EXISTS (
        SELECT FROM stability.source AS s, stability.wanted_triggers(s) AS w
        WHERE w.relation = t.tgrelid AND w.name = t.tgname)
    UNION ALL
    SELECT i.indrelid::regclass, 'INDEX', c.oid::regclass::text
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE stability.is_ours(c.oid, 'pg_class')
      AND (c.relname LIKE '%\_active\_%' OR NOT EXISTS (SELECT FROM stability.kept))
      AND NOT EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = c.oid)
      AND NOT EXISTS (
        SELECT FROM stability.source AS s, stability.wanted_indexes(s) AS w
        WHERE w.relation = i.indrelid AND w.name = c.relname)
$$;
