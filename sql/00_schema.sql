-- What must be so before anything is made: a server that is new enough, names that nobody else has taken, rights that
-- suffice. Then the schema and the two group roles. Roles belong to the whole cluster, so another database may have
-- made them already.
--
-- Everything that is ours carries a comment that starts with "pg-stability:"; uninstalling drops what carries it, and
-- nothing else.
DO $$
DECLARE
    ours CONSTANT text := 'pg-stability:%';
    tables CONSTANT text[] := ARRAY['public.import_job', 'worker.command_registry', 'worker.tasks',
        'public.executions', 'public.status_log', 'public.deployments',
        'public.generated_applications'];
    found record;
    group_role text;
BEGIN
    IF current_setting('server_version_num')::integer < 130000 THEN
        RAISE EXCEPTION 'This server is PostgreSQL %; 13 or newer is needed.', current_setting('server_version');
    END IF;
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'This server is a standby and read-only; migrate its primary.';
    END IF;

    FOR found IN
        SELECT 'schema stability' AS object FROM pg_namespace AS n
        WHERE n.nspname = 'stability' AND obj_description(n.oid, 'pg_namespace') LIKE ours IS NOT TRUE
        UNION ALL
        SELECT 'function public.' || p.proname || '()' FROM pg_proc AS p
        WHERE p.pronamespace = to_regnamespace('public') AND p.pronargs = 0
          AND p.proname IN ('is_system_stable', 'notify_system_stability_change', 'get_analytics_tasks_in_progress')
          AND obj_description(p.oid, 'pg_proc') LIKE ours IS NOT TRUE
    LOOP
        RAISE EXCEPTION 'The % belongs to somebody else and Stability needs its name; rename or drop it first.',
            found.object;
    END LOOP;

    FOR found IN
        SELECT needed.name FROM unnest(tables) AS needed (name)
        LEFT JOIN pg_class AS c ON c.oid = to_regclass(needed.name)
        WHERE c.relkind NOT IN ('r', 'p', 'v', 'm', 'f') OR c.oid IS NULL AND to_regtype(needed.name) IS NOT NULL
    LOOP
        RAISE EXCEPTION '% exists and is not a table; rename or drop it first.', found.name;
    END LOOP;

    FOR found IN
        SELECT 'create a schema in this database' AS what,
            format('GRANT CREATE ON DATABASE %I', current_database()) AS remedy
        WHERE to_regnamespace('stability') IS NULL AND NOT has_database_privilege(current_database(), 'CREATE')
        UNION ALL
        SELECT 'create functions in the schema public', 'GRANT CREATE ON SCHEMA public'
        WHERE has_schema_privilege(to_regnamespace('public'), 'CREATE') IS NOT TRUE
        UNION ALL
        SELECT 'change the schema stability, which belongs to ' || n.nspowner::regrole, 'GRANT ' || n.nspowner::regrole
        FROM pg_namespace AS n WHERE n.nspname = 'stability' AND NOT pg_has_role(n.nspowner, 'USAGE')
        UNION ALL
        SELECT format('add a trigger and an index to %s, which belongs to %s', c.oid::regclass, c.relowner::regrole),
            'GRANT ' || c.relowner::regrole
        FROM unnest(tables) AS needed (name)
        JOIN pg_class AS c ON c.oid = to_regclass(needed.name)
        WHERE c.relkind IN ('r', 'p') AND NOT pg_has_role(c.relowner, 'USAGE')
    LOOP
        RAISE EXCEPTION 'The role % may not %; run "% TO %", or migrate as a role that may.',
            current_user, found.what, found.remedy, quote_ident(current_user);
    END LOOP;

    IF to_regnamespace('stability') IS NULL THEN
        CREATE SCHEMA stability;
        COMMENT ON SCHEMA stability IS 'pg-stability: what the stability badge keeps in this database';
    END IF;

    FOREACH group_role IN ARRAY ARRAY['stability_server', 'stability_reader'] LOOP
        BEGIN
            IF to_regrole(group_role) IS NULL THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', group_role);
                EXECUTE format('COMMENT ON ROLE %I IS %L', group_role, 'pg-stability: a group of login roles');
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                -- another database of this cluster is being migrated at this very moment
                NULL;
            WHEN insufficient_privilege THEN
                RAISE WARNING 'The role % may not create the role %: the server has to connect as %, until somebody'
                    ' creates it and migrates again.', current_user, group_role, current_user;
        END;
    END LOOP;
END
$$;
