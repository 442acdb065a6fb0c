-- What public.generated_applications needs of ours, each with the statement that makes it, and whether it stands. Where the
-- table is a view, or somebody dropped it, nothing is needed.
CREATE OR REPLACE FUNCTION stability.wanted_application_parts()
RETURNS TABLE (kind text, name text, definition text, present boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'COLUMN', w.name, format('%I %s', w.name, w.type), stability.has_column(c.oid::regclass, w.name)
    FROM pg_class AS c
    CROSS JOIN (VALUES
        ('app_type', 'varchar(50)'), ('provider', 'varchar(100)'), ('generation_status', 'varchar(20)'),
        ('has_backend', 'boolean DEFAULT false'), ('has_frontend', 'boolean DEFAULT false'),
        ('backend_framework', 'varchar(50)'), ('frontend_framework', 'varchar(50)'),
        ('container_status', 'varchar(50) DEFAULT ''unknown'''), ('last_status_check', 'timestamptz'),
        ('metadata_json', 'jsonb'), ('created_at', 'timestamptz DEFAULT now()'), ('updated_at', 'timestamptz DEFAULT now()')
    ) AS w (name, type)
    WHERE c.oid = to_regclass('public.generated_applications') AND c.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'TRIGGER', w.name, format('%s ON public.generated_applications %s EXECUTE FUNCTION stability.%s()',
            w.moment, w.manner, w.function),
        EXISTS (
            SELECT FROM pg_trigger AS t
            WHERE t.tgrelid = c.oid AND t.tgname = w.name AND t.tgenabled = 'A' AND stability.is_ours(t.oid, 'pg_trigger'))
    FROM pg_class AS c
    CROSS JOIN (VALUES
        ('stability_keep_application', 'BEFORE UPDATE', 'FOR EACH ROW', 'keep_application'),
        ('stability_applications_inserted', 'AFTER INSERT', 'REFERENCING NEW TABLE AS changed FOR EACH STATEMENT',
            'notify_application_change'),
        ('stability_applications_updated', 'AFTER UPDATE', 'REFERENCING NEW TABLE AS changed FOR EACH STATEMENT',
            'notify_application_change'),
        ('stability_applications_deleted', 'AFTER DELETE', 'REFERENCING OLD TABLE AS changed FOR EACH STATEMENT',
            'notify_application_change'),
        ('stability_applications_truncated', 'AFTER TRUNCATE', 'FOR EACH STATEMENT', 'notify_application_change')
    ) AS w (name, moment, manner, function)
    WHERE c.oid = to_regclass('public.generated_applications') AND c.relkind IN ('r', 'p')
$$;
