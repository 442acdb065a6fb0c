-- Who may do what. Everyone may ask for the badge and, by writing a watched table, send a hint; the server and readers
-- may see details; registering sources is for the owner. A role that could not be created is left out.
DO $$
DECLARE
    details CONSTANT text := 'public.get_analytics_tasks_in_progress(), stability.import_jobs_in_progress(integer),'
        ' stability.analytics_tasks_in_progress(integer), stability.count_active(text),'
        ' stability.unchanged(integer)';
    grants record;
BEGIN
    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA stability FROM PUBLIC;
    REVOKE ALL ON FUNCTION public.get_analytics_tasks_in_progress() FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION public.is_system_stable(), public.notify_system_stability_change() TO PUBLIC;
    -- what a trigger reads with its writer's rights; SELECT on a sequence allows no nextval()
    GRANT USAGE ON SCHEMA stability TO PUBLIC;
    GRANT SELECT ON SEQUENCE stability.armed_until TO PUBLIC;

    IF to_regrole('stability_reader') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA stability TO stability_reader;
        GRANT EXECUTE ON FUNCTION stability.level(text) TO stability_reader;
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO stability_reader', details);
    END IF;
    IF to_regrole('stability_server') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA stability TO stability_server;
        GRANT SELECT ON stability.source, stability.alembic_version, stability.transition TO stability_server;
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO stability_server', details);
        GRANT EXECUTE ON FUNCTION stability.read_activity(), stability.problems(), stability.warnings(), stability.armed(),
            stability.arm(bigint, interval), stability.disarm(bigint[]),
            stability.expire_executions(jsonb, interval, interval, integer, timestamptz),
            stability.prune_status_log(interval, integer),
            stability.note_states(jsonb), stability.prune_transitions(interval, integer),
            stability.alert(text, text, text, timestamptz, text), stability.look_for_stuck(interval),
            stability.deployment_transitions(), stability.with_engine(text, jsonb) TO stability_server;
        GRANT EXECUTE ON FUNCTION stability.record_services(jsonb, text[], boolean, text, interval, timestamptz),
            stability.sample_services(text, interval, timestamptz), stability.count_services(), stability.lose_consul(text, text, boolean),
            stability.read_services(text[]), stability.service_history(integer, interval, text),
            stability.prune_services(interval, integer) TO stability_server;
        GRANT SELECT, UPDATE, DELETE ON stability.outbox TO stability_server;
        GRANT SELECT, INSERT, UPDATE, DELETE ON stability.delivery TO stability_server;
        GRANT SELECT, UPDATE ON SEQUENCE stability.alerts_awaited TO stability_server;
        -- a grant that is made again writes the table's row in the catalogue again
        FOR grants IN
            SELECT format('GRANT %s ON %s %s TO stability_server', needed.privilege, needed.kind, needed.name) AS statement
            FROM (VALUES ('SELECT', 'TABLE', 'public.executions'), ('INSERT', 'TABLE', 'public.executions'),
                ('UPDATE', 'TABLE', 'public.executions'), ('SELECT', 'TABLE', 'public.status_log'),
                ('USAGE', 'SEQUENCE', pg_get_serial_sequence('public.executions', 'id')),
                ('SELECT', 'TABLE', to_regclass('public.deployments')::text),
                ('INSERT', 'TABLE', to_regclass('public.deployments')::text),
                ('UPDATE', 'TABLE', to_regclass('public.deployments')::text),
                ('SELECT', 'TABLE', to_regclass('public.generated_applications')::text),
                ('UPDATE', 'TABLE', to_regclass('public.generated_applications')::text),
                ('USAGE', 'SEQUENCE', CASE WHEN stability.has_column(to_regclass('public.deployments'), 'id')
                    THEN pg_get_serial_sequence('public.deployments', 'id') END)
            ) AS needed (privilege, kind, name)
            WHERE NOT CASE needed.kind WHEN 'TABLE' THEN has_table_privilege('stability_server', needed.name, needed.privilege)
                ELSE has_sequence_privilege('stability_server', needed.name, needed.privilege) END
        LOOP
            EXECUTE grants.statement;
        END LOOP;
    END IF;
END
$$;
