-- The SQL expression for the seconds until the earliest deferred row of a source comes due by the database's clock;
-- null when there is none.
CREATE OR REPLACE FUNCTION stability.next_due(source stability.source) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN source.due_column IS NULL THEN 'NULL'
        WHEN source.group_column IS NULL THEN format('(%s)', first_due)
        ELSE format(E'(SELECT min(first.seconds) FROM (%s\n) AS g (key) CROSS JOIN LATERAL (%s) AS first (seconds))',
            source.groups, first_due)
    END
    FROM concat('coalesce(', quote_ident(source.due_column), ', ''-infinity'')') AS due,
        format(E'SELECT extract(epoch FROM %1$s - statement_timestamp()) FROM %2$s AS t\n'
            '  WHERE %3$s (%4$s\n) IS NOT FALSE AND (%5$s\n) IS TRUE\n'
            '  AND %1$s > statement_timestamp() AND %1$s < ''infinity'' ORDER BY %1$s LIMIT 1',
            due, source.relation,
            't.' || quote_ident(source.group_column) || ' = g.key AND',
            source.active_when, source.deferred_when) AS first_due
$$;
