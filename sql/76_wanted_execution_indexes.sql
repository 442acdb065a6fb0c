-- The indexes that the log and what is read of it need, and whether each is valid: the log by time, and by execution, whose
-- last row tells since when it is what it is; executions by status.
CREATE OR REPLACE FUNCTION stability.wanted_execution_indexes()
RETURNS TABLE (relation regclass, kind "char", name name, definition text, present boolean, obstacle regclass)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.member, f.kind, named.name, w.definition,
        EXISTS (
            SELECT FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
            WHERE i.indrelid = f.member AND i.indisvalid
              AND (x.relname = named.name OR EXISTS (
                SELECT FROM pg_inherits AS h JOIN pg_class AS parent ON parent.oid = h.inhparent
                WHERE h.inhrelid = x.oid AND stability.is_ours(parent.oid, 'pg_class')
                  AND parent.relname LIKE '%' || w.suffix))),
        (SELECT coalesce(a.relid, x.oid) FROM pg_index AS i
            JOIN pg_class AS x ON x.oid = i.indexrelid
            LEFT JOIN LATERAL pg_partition_ancestors(x.oid) WITH ORDINALITY AS a (relid, n) ON true
            WHERE i.indrelid = f.member AND x.relname = named.name AND NOT i.indisvalid
            ORDER BY a.n DESC LIMIT 1)
    FROM stability.kept AS k
    CROSS JOIN (VALUES
        ('public.status_log', '_by_time', '("timestamp", id)'),
        ('public.status_log', '_by_execution', '(execution_id, id)'),
        ('public.executions', '_by_status', '(status, id)')
    ) AS w (relation, suffix, definition)
    CROSS JOIN LATERAL stability.family(to_regclass(w.relation)) AS f
    JOIN pg_class AS c ON c.oid = f.member
    CROSS JOIN LATERAL (SELECT (
        CASE WHEN octet_length(c.relname) <= 48 THEN c.relname ELSE left(md5(c.relname), 12) END || w.suffix)::name
    ) AS named (name)
    WHERE f.kind IN ('r', 'p')
    ORDER BY f.depth DESC, f.member, w.suffix
$$;
