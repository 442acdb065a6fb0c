-- The active rows of a source as JSON objects of the named columns, in the order that people see: priority, then id.
--
-- The statement is put together at each call, so that an adopted table may lack any column, or lose one, and still be
-- shown: what is missing is null. Times are told in UTC. A percentage is the table's own, else that of its rows; it is
-- 100 only when the work is done, and what is listed here is not.
CREATE OR REPLACE FUNCTION stability.in_progress(source_name text, shown integer, columns text[]) RETURNS SETOF json
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source stability.source;
    relation regclass;
    members text;
    ordering text;
BEGIN
    SELECT * INTO source FROM stability.source AS s WHERE s.name = source_name;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    relation := source.relation::regclass;

    SELECT string_agg(format('%L, %s', wanted.name, CASE
            WHEN wanted.name = 'progress_pct' THEN stability.progress(relation)
            WHEN NOT stability.has_column(relation, wanted.name) THEN 'NULL'
            WHEN wanted.name LIKE '%\_at' THEN
                format('to_char(%I::timestamptz AT TIME ZONE ''UTC'', ''YYYY-MM-DD"T"HH24:MI:SS.US"Z"'')', wanted.name)
            ELSE quote_ident(wanted.name)
        END), ', ' ORDER BY wanted.ordinality)
    INTO members FROM unnest(columns) WITH ORDINALITY AS wanted (name);

    SELECT 'ORDER BY ' || string_agg(format('%I NULLS LAST', key.name), ', ' ORDER BY key.ordinality)
    INTO ordering FROM unnest(ARRAY['priority', 'id']) WITH ORDINALITY AS key (name)
    WHERE stability.has_column(relation, key.name);

    RETURN QUERY EXECUTE format(E'SELECT json_build_object(%s) FROM (\n%s\n) AS t %s LIMIT %s',
        members, stability.active_rows(source, 't.*', NULL), ordering, coalesce(shown::text, 'ALL'));
END
$$;
