-- The SQL text that finds the active rows of a source, 1,000 at most, each with a mark that any write of the row changes,
-- and its id: the column of that name, else the first of the primary key, else null.
--
-- The mark costs nothing to read, however wide the row: where it lies, and who wrote it. A view's row has no place, so
-- its mark is made from what it says.
CREATE OR REPLACE FUNCTION stability.marked_active_rows(source stability.source) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(E'SELECT DISTINCT ON (a.mark) a.mark, a.id FROM (\n%s\n) AS a LIMIT 1000',
        stability.active_rows(source, format('%s AS mark, %s AS id', CASE
                WHEN c.relkind IN ('r', 'p') THEN 'concat_ws(''/'', t.tableoid, t.ctid, t.xmin)'
                ELSE 'md5(t::text)'
            END, coalesce('to_jsonb(t.' || quote_ident(a.attname) || ')', 'NULL::jsonb')), 1000))
    FROM pg_class AS c
    LEFT JOIN LATERAL (
        SELECT a.attname FROM pg_attribute AS a
        LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          AND (a.attname = 'id' OR a.attnum = i.indkey[0])
        ORDER BY a.attname <> 'id' LIMIT 1
    ) AS a ON true
    WHERE c.oid = to_regclass(source.relation)
$$;
