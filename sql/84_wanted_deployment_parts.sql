-- What public.deployments needs of ours, each with the statement that makes it, and whether it stands. Where the table is
-- a view, or somebody dropped it, nothing is needed.
CREATE OR REPLACE FUNCTION stability.wanted_deployment_parts()
RETURNS TABLE (kind text, name text, definition text, present boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'COLUMN', w.name, format('%I %s', w.name, w.type), stability.has_column(c.oid::regclass, w.name)
    FROM pg_class AS c
    CROSS JOIN (VALUES
        ('config', 'jsonb'), ('progress_message', 'text'), ('error_message', 'text'), ('machine_id', 'text'),
        ('health_url', 'text'), ('last_checked_at', 'timestamptz'), ('created_at', 'timestamptz'),
        ('updated_at', 'timestamptz'), ('status_since', 'timestamptz')
    ) AS w (name, type)
    WHERE c.oid = to_regclass('public.deployments') AND c.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'TRIGGER', w.name, format('%s ON public.deployments %s EXECUTE FUNCTION stability.%s()',
            w.moment, w.manner, w.function),
        EXISTS (
            SELECT FROM pg_trigger AS t
            WHERE t.tgrelid = c.oid AND t.tgname = w.name AND t.tgenabled = 'A' AND stability.is_ours(t.oid, 'pg_trigger'))
    FROM pg_class AS c
    CROSS JOIN (VALUES
        ('stability_keep_deployment', 'BEFORE INSERT OR UPDATE', 'FOR EACH ROW', 'keep_deployment'),
        ('stability_deployments_inserted', 'AFTER INSERT', 'REFERENCING NEW TABLE AS changed FOR EACH STATEMENT',
            'notify_deployment_change'),
        ('stability_deployments_updated', 'AFTER UPDATE', 'REFERENCING NEW TABLE AS changed FOR EACH STATEMENT',
            'notify_deployment_change'),
        ('stability_deployments_deleted', 'AFTER DELETE', 'REFERENCING OLD TABLE AS changed FOR EACH STATEMENT',
            'notify_deployment_change'),
        ('stability_deployments_truncated', 'AFTER TRUNCATE', 'FOR EACH STATEMENT', 'notify_deployment_change'),
        ('stability_deployment_alerts', 'AFTER UPDATE',
            'FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)', 'alert_deployment')
    ) AS w (name, moment, manner, function)
    WHERE c.oid = to_regclass('public.deployments') AND c.relkind IN ('r', 'p')
$$;
