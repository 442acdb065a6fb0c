-- Executions and their log as they are found have to be such that the log can be kept; then it is, from this migration on.
DO $$
DECLARE
    lacking record;
BEGIN
    FOR lacking IN
        SELECT needed.relation, CASE WHEN c.relkind NOT IN ('r', 'p') THEN 'is no table'
                ELSE 'has no column ' || column_name END AS fact
        FROM (VALUES ('public.executions', ARRAY['id', 'status']), ('public.status_log', ARRAY['id', 'timestamp']))
            AS needed (relation, columns)
        JOIN pg_class AS c ON c.oid = to_regclass(needed.relation),
            unnest(needed.columns) AS column_name
        WHERE c.relkind NOT IN ('r', 'p') OR NOT stability.has_column(c.oid, column_name)
        UNION ALL
        SELECT 'public.status_log', 'has no primary key on id alone'
        WHERE NOT EXISTS (SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid
            WHERE i.indrelid = to_regclass('public.status_log') AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
              AND i.indnkeyatts = 1 AND a.attnum = i.indkey[0] AND a.attname = 'id')
        UNION ALL
        SELECT 'public.status_log', format('has a column %I that needs a value which nobody gives', a.attname)
        FROM pg_attribute AS a
        WHERE a.attrelid = to_regclass('public.status_log') AND a.attnum > 0 AND a.attnotnull AND NOT a.attisdropped
          AND NOT a.atthasdef AND a.attidentity = '' AND a.attname NOT IN ('id', 'timestamp')
          AND a.attname NOT LIKE 'executions\_%'
    LOOP
        RAISE EXCEPTION '% %, which the log of executions needs otherwise; mend it, or rename the table.',
            lacking.relation, lacking.fact;
    END LOOP;
    FOR lacking IN
        SELECT t.tgname, t.tgrelid::regclass AS relation, t.tgfoid::regprocedure AS function
        FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE p.pronamespace <> 'stability'::regnamespace AND (
            t.tgrelid = to_regclass('public.executions') AND t.tgname IN ('log_execution_insert', 'log_execution_update',
                'log_execution_delete', 'log_executions', 'note_rows_insert', 'note_rows_update', 'note_rows_delete',
                'zz_settle_execution')
            OR t.tgrelid = to_regclass('public.status_log') AND t.tgname IN ('keep_newest_status', 'log_changes_so_far',
                'log_executions'))
    LOOP
        RAISE EXCEPTION 'The trigger % on % belongs to somebody else (it calls %); rename or drop it first.',
            lacking.tgname, lacking.relation, lacking.function;
    END LOOP;
    INSERT INTO stability.kept VALUES ('public.status_log') ON CONFLICT DO NOTHING;
END
$$;
