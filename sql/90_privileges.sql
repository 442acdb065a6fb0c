-- Who may do what. Everyone may ask for the badge and, by writing a watched table, send a hint; the server and readers
-- may see details; registering sources is for the owner. A role that could not be created is left out.
DO $$
DECLARE
    details CONSTANT text := 'public.get_analytics_tasks_in_progress(), stability.import_jobs_in_progress(integer),'
        ' stability.analytics_tasks_in_progress(integer), stability.count_active(text)';
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
        GRANT SELECT ON stability.source, stability.alembic_version TO stability_server;
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO stability_server', details);
        GRANT EXECUTE ON FUNCTION stability.read_activity(), stability.problems(), stability.armed(),
            stability.arm(bigint, interval), stability.disarm(bigint[]),
            stability.alert(text, text, text, timestamptz, text) TO stability_server;
        GRANT SELECT, UPDATE, DELETE ON stability.outbox TO stability_server;
        GRANT SELECT, INSERT, UPDATE, DELETE ON stability.delivery TO stability_server;
        GRANT SELECT, UPDATE ON SEQUENCE stability.alerts_awaited TO stability_server;
    END IF;
END
$$;
