-- The partial indexes that a source is probed by, and whether each is valid. The first finds active rows by their group;
-- where a due column defers some, the second finds those by the clock as well. A constant key keeps the order of the heap
-- and costs a writer least.
--
-- The name carries a digest of the definition, so that a changed predicate is built beside the old index before it is
-- used. Partitioned tables are listed after their leaves: an index on the parent then only adopts what stands already.
-- `obstacle` is the invalid index that has to go first, if there is one: of a partitioned table the topmost, which takes
-- its parts with it.
CREATE OR REPLACE FUNCTION stability.wanted_indexes(source stability.source)
RETURNS TABLE (relation regclass, kind "char", name name, definition text, present boolean, obstacle regclass)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH wanted (definition) AS (
        SELECT concat('(', coalesce(quote_ident(source.group_column), '(true)'), ') WHERE ',
            format(E'(%s\n) IS NOT FALSE', source.active_when),
            E' AND (' || source.deferred_when || E'\n) IS NOT TRUE')
        WHERE source.deferred_when IS DISTINCT FROM 'true'
        UNION ALL
        SELECT format(E'(%scoalesce(%I, ''-infinity'')) WHERE (%s\n) IS NOT FALSE AND (%s\n) IS TRUE',
            quote_ident(source.group_column) || ', ', source.due_column, source.active_when, source.deferred_when)
        WHERE source.due_column IS NOT NULL
    )
    SELECT f.member, f.kind, named.name, w.definition,
        EXISTS (
            SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
            WHERE i.indrelid = f.member AND i.indisvalid
              AND (c.relname = named.name OR EXISTS (
                SELECT FROM pg_inherits AS h JOIN pg_class AS parent ON parent.oid = h.inhparent
                WHERE h.inhrelid = c.oid AND stability.is_ours(parent.oid, 'pg_class')
                  AND right(parent.relname, 8) = right(named.name, 8)))),
        (SELECT coalesce(a.relid, c.oid) FROM pg_index AS i
            JOIN pg_class AS c ON c.oid = i.indexrelid
            LEFT JOIN LATERAL pg_partition_ancestors(c.oid) WITH ORDINALITY AS a (relid, n) ON true
            WHERE i.indrelid = f.member AND c.relname = named.name AND NOT i.indisvalid
            ORDER BY a.n DESC LIMIT 1)
    FROM stability.family(to_regclass(source.relation)) AS f
    JOIN pg_class AS class ON class.oid = f.member
    CROSS JOIN wanted AS w
    CROSS JOIN LATERAL (SELECT (
        CASE WHEN octet_length(class.relname) <= 47 THEN class.relname ELSE left(md5(class.relname), 12) END
        || '_active_' || left(md5(w.definition), 8))::name) AS named (name)
    WHERE f.kind IN ('r', 'p')
    ORDER BY f.depth DESC, f.member
$$;
