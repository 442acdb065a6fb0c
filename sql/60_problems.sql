-- What stands between the badge and the truth in this database, each with its remedy; no rows when all is well.
CREATE OR REPLACE FUNCTION stability.problems() RETURNS TABLE (object text, problem text, remedy text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
    SELECT 'source ' || a.source, a.error, CASE
            WHEN hidden.relation IS NOT NULL THEN
                format('row security hides rows of %s: run "ALTER ROLE %I BYPASSRLS"', hidden.relation, current_user)
            WHEN forbidden.relation IS NOT NULL THEN
                format('run "GRANT SELECT ON %s TO %I"', forbidden.relation, current_user)
            WHEN to_regclass(s.relation) IS NULL THEN
                format('create the table again, or run "SELECT stability.unwatch(%L)"', a.source)
            WHEN standard.name IS NOT NULL THEN 'run "stability migrate", which describes the table as it is now'
            ELSE 'mend the table, or call stability.watch() again with a predicate that fits it'
        END
    FROM stability.read_activity() AS a
    JOIN stability.source AS s ON s.name = a.source
    LEFT JOIN stability.standard_sources() AS standard ON standard.name = a.source
    CROSS JOIN LATERAL (SELECT min(r) AS relation FROM unnest(s.relation || s.also) AS r
        WHERE row_security_active(to_regclass(r))) AS hidden
    CROSS JOIN LATERAL (SELECT min(r) AS relation FROM unnest(s.relation || s.also) AS r
        WHERE NOT has_table_privilege(to_regclass(r), 'SELECT')) AS forbidden
    WHERE a.error IS NOT NULL

    UNION ALL
    SELECT format('trigger %s on %s', w.name, w.relation), CASE
            WHEN t.oid IS NULL THEN 'is missing: changes are seen only at the next periodic read'
            WHEN t.tgenabled = 'D' THEN 'is disabled: changes are seen only at the next periodic read'
            WHEN t.tgenabled <> 'A' THEN 'is not enabled ALWAYS: what is written in the replica role is seen only at the next read'
            ELSE 'is not the trigger that Stability makes'
        END, 'run "stability migrate"'
    FROM stability.source AS s
    CROSS JOIN LATERAL stability.wanted_triggers(s) AS w
    LEFT JOIN pg_trigger AS t ON t.tgrelid = w.relation AND t.tgname = w.name
    WHERE NOT w.present

    UNION ALL
    SELECT format('index %s on %s', w.name, w.relation),
        CASE WHEN w.obstacle IS NULL THEN 'is missing: each read walks the whole table'
             ELSE 'is invalid: it costs writers and helps no read' END,
        'run "stability migrate"'
    FROM stability.source AS s
    CROSS JOIN LATERAL stability.wanted_indexes(s) AS w
    WHERE NOT w.present

    UNION ALL
    SELECT format('trigger %s on %s', w.name, w.relation),
        w.problem || CASE WHEN w.name LIKE 'note\_rows\_%' OR w.name = 'sort_log'
            THEN ': the log has the rows of one statement in no order until it stands again'
            ELSE ': the log of executions misses changes until it stands again' END, 'run "stability migrate"'
    FROM stability.wanted_execution_triggers() AS w
    WHERE NOT w.present

    UNION ALL
    SELECT format('index %s on %s', w.name, w.relation),
        CASE WHEN w.obstacle IS NULL THEN 'is missing: what is read of executions walks the whole table'
             ELSE 'is invalid: it costs writers and helps no read' END,
        'run "stability migrate"'
    FROM stability.wanted_execution_indexes() AS w
    WHERE NOT w.present

    UNION ALL
    SELECT format('%s %s of %s', lower(w.kind), w.name, w.relation), w.problem || CASE
            WHEN w.kind = 'COLUMN' THEN ': what it is to hold is neither kept nor told'
            WHEN w.name LIKE 'stability\_keep\_%' THEN ': the rules of its rows are not kept'
            WHEN w.name LIKE '%\_alerts' THEN ': nobody is alerted'
            ELSE ': changes are seen only at the next periodic read'
        END, CASE
            WHEN w.definition IS NULL THEN 'add or rename it, then run "stability migrate"'
            WHEN w.problem = 'is not the trigger that Stability makes' THEN
                'rename or drop it if it is yours, then run "stability migrate"'
            ELSE 'run "stability migrate"'
        END
    FROM stability.wanted_parts() AS w
    WHERE NOT w.present

    UNION ALL
    SELECT format('index %s on %s', w.name, w.relation),
        CASE WHEN w.obstacle IS NULL THEN 'is missing: those that were checked longest ago are looked for in the whole table'
             ELSE 'is invalid: it costs writers and helps no read' END,
        'run "stability migrate"'
    FROM stability.wanted_application_index() AS w
    WHERE NOT w.present

    UNION ALL
    SELECT 'table ' || k.log, 'has counts that are not corrected yet: a migration was cut off', 'run "stability migrate"'
    FROM stability.kept AS k WHERE k.corrected_from IS NOT NULL

    UNION ALL
    SELECT 'source ' || wanted.name,
        CASE WHEN s.name IS NULL THEN 'is not watched' ELSE 'describes the table as it was, not as it is' END,
        'run "stability migrate"'
    FROM stability.standard_sources() AS wanted
    LEFT JOIN stability.source AS s ON s.name = wanted.name
    WHERE s IS DISTINCT FROM wanted

    UNION ALL
    SELECT 'role ' || missing.name, format('does not exist: nobody but %I can serve or read details', current_user),
        format('run "CREATE ROLE %I NOLOGIN", then "stability migrate"', missing.name)
    FROM unnest(ARRAY['stability_server', 'stability_reader']) AS missing (name)
    WHERE to_regrole(missing.name) IS NULL

    UNION ALL
    SELECT 'setting max_prepared_transactions',
        'is not 0: no hints are sent, since a NOTIFY makes PREPARE TRANSACTION fail',
        'set it to 0 if nobody uses two-phase commit; else the server looks once a second'
    WHERE current_setting('max_prepared_transactions') <> '0'

    UNION ALL
    SELECT 'sequence stability.armed_until', 'is missing: nobody sends hints, and no server can read the state',
        'run "CREATE SEQUENCE stability.armed_until AS bigint MINVALUE 0 START 0", then "stability migrate"'
    WHERE to_regclass('stability.armed_until') IS NULL

    UNION ALL
    SELECT w.object, format('is closed to %s: what they write is seen only at the next periodic read', w.writers), w.remedy
    FROM stability.silent_writers() AS w

    UNION ALL
    SELECT off.object, 'is off: a read walks over the rows that were settled long ago', off.remedy
    FROM (
        SELECT DISTINCT format('autovacuum of %s', f.member),
            format('run "ALTER TABLE %s RESET (autovacuum_enabled)"', f.member)
        FROM stability.source AS s
        CROSS JOIN LATERAL stability.family(to_regclass(s.relation)) AS f
        JOIN pg_class AS c ON c.oid = f.member
        CROSS JOIN LATERAL pg_options_to_table(c.reloptions) AS o
        WHERE NOT CASE WHEN o.option_name = 'autovacuum_enabled' THEN o.option_value::boolean ELSE true END
        UNION ALL
        SELECT 'setting autovacuum', 'set it to on' WHERE current_setting('autovacuum') = 'off'
    ) AS off (object, remedy)

    UNION ALL
    SELECT format('alerts to %s', d.recipient), format('%s not delivered, the last one because: %s',
            CASE count(*) WHEN 1 THEN '1 is' ELSE count(*) || ' are' END, (array_agg(d.error ORDER BY d.alert DESC))[1]),
        'mend the recipient, or its address in STABILITY_NOTIFY_URLS; what is older than a day is not sent any more'
    FROM stability.delivery AS d
    JOIN stability.outbox AS o ON o.id = d.alert
    WHERE d.sent_at IS NULL AND d.error IS NOT NULL AND o.sent_at IS NULL
    GROUP BY d.recipient
$$;
