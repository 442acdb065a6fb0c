-- The SQL expression for the progress in percent of a row that is still active: 0 to 99.
CREATE OR REPLACE FUNCTION stability.progress(relation regclass) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('least(greatest(coalesce(%s, 0), 0), 99)', CASE
        WHEN stability.has_column(relation, 'progress_pct') THEN 'progress_pct'
        WHEN stability.has_column(relation, 'total_rows') AND stability.has_column(relation, 'imported_rows') THEN
            'floor(100 * imported_rows::numeric / nullif(total_rows, 0))::bigint'
        ELSE 'NULL'
    END)
$$;
