-- Hints and alerts of public.services, where the table is ours and they do not stand yet.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT w.* FROM (VALUES
            ('stability_services_inserted', 'AFTER INSERT', 'REFERENCING NEW TABLE AS changed FOR EACH STATEMENT',
                'notify_service_change'),
            ('stability_services_updated', 'AFTER UPDATE',
                'REFERENCING OLD TABLE AS before NEW TABLE AS changed FOR EACH STATEMENT', 'notify_service_change'),
            ('stability_services_deleted', 'AFTER DELETE', 'REFERENCING OLD TABLE AS changed FOR EACH STATEMENT',
                'notify_service_change'),
            ('stability_services_truncated', 'AFTER TRUNCATE', 'FOR EACH STATEMENT', 'notify_service_change'),
            ('stability_service_alerts', 'AFTER UPDATE', 'FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)',
                'alert_service')
        ) AS w (name, moment, manner, function)
        WHERE stability.services_stand() AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_trigger AS t
            WHERE t.tgrelid = 'public.services'::regclass AND t.tgname = w.name AND t.tgenabled = 'A'
              AND stability.is_ours(t.oid, 'pg_trigger'))
    LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON public.services', wanted.name);
        EXECUTE format('CREATE TRIGGER %I %s ON public.services %s EXECUTE FUNCTION stability.%I()',
            wanted.name, wanted.moment, wanted.manner, wanted.function);
        EXECUTE format('ALTER TABLE public.services ENABLE ALWAYS TRIGGER %I', wanted.name);
        EXECUTE format('COMMENT ON TRIGGER %I ON public.services IS %L', wanted.name,
            'pg-stability: tells the servers of services');
    END LOOP;
END
$$;
