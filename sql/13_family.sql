-- A relation with all its partitions or heirs, the leaves first.
CREATE OR REPLACE FUNCTION stability.family(relation regclass)
RETURNS TABLE (member regclass, kind "char", depth integer)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE line (member, depth) AS (
        SELECT relation::oid, 0 WHERE relation IS NOT NULL
        UNION ALL
        SELECT i.inhrelid, line.depth + 1 FROM line JOIN pg_inherits AS i ON i.inhparent = line.member
    )
    SELECT c.oid::regclass, c.relkind, max(line.depth)
    FROM line JOIN pg_class AS c ON c.oid = line.member
    GROUP BY c.oid, c.relkind
    ORDER BY max(line.depth) DESC, c.oid
$$;
