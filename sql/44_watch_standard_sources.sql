-- From the first migration on the badge knows its two standard sources. One that is registered already is replaced only
-- once the triggers and indexes of its new description stand.
DO $$
DECLARE
    lacking record;
BEGIN
    FOR lacking IN
        SELECT needed.relation, column_name
        FROM (VALUES ('public.import_job', ARRAY['id', 'state']),
                     ('worker.tasks', ARRAY['id', 'command', 'state']),
                     ('worker.command_registry', ARRAY['command', 'queue'])) AS needed (relation, columns),
            unnest(needed.columns) AS column_name
        WHERE to_regclass(needed.relation) IS NOT NULL
          AND NOT stability.has_column(to_regclass(needed.relation), column_name)
    LOOP
        RAISE EXCEPTION '% has no column %, which the badge needs; add it, or rename a table that holds no work.',
            lacking.relation, lacking.column_name;
    END LOOP;

    INSERT INTO stability.source SELECT * FROM stability.standard_sources() ON CONFLICT DO NOTHING;
    PERFORM stability.refuse_foreign_triggers(c) FROM stability.candidates() AS c;
    PERFORM stability.regenerate();
END
$$;
