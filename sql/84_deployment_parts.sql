-- What public.deployments needs: the owner's columns, ours, and our triggers.
CREATE OR REPLACE FUNCTION stability.deployment_parts() RETURNS TABLE (name text, definition text, manner text, call text)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES ('id', NULL, NULL, NULL), ('name', NULL, NULL, NULL), ('status', NULL, NULL, NULL),
        ('config', 'jsonb', NULL, NULL), ('progress_message', 'text', NULL, NULL), ('error_message', 'text', NULL, NULL),
        ('machine_id', 'text', NULL, NULL), ('health_url', 'text', NULL, NULL),
        ('last_checked_at', 'timestamptz', NULL, NULL), ('created_at', 'timestamptz', NULL, NULL),
        ('updated_at', 'timestamptz', NULL, NULL), ('status_since', 'timestamptz', NULL, NULL),
        ('stability_keep_deployment', 'BEFORE INSERT OR UPDATE', 'FOR EACH ROW', 'keep_deployment()'),
        ('stability_deployments_inserted', 'AFTER INSERT',
            'REFERENCING NEW TABLE AS changed FOR EACH STATEMENT', 'notify_row_change(''deployments'')'),
        ('stability_deployments_updated', 'AFTER UPDATE',
            'REFERENCING NEW TABLE AS changed FOR EACH STATEMENT', 'notify_row_change(''deployments'')'),
        ('stability_deployments_deleted', 'AFTER DELETE',
            'REFERENCING OLD TABLE AS changed FOR EACH STATEMENT', 'notify_row_change(''deployments'')'),
        ('stability_deployments_truncated', 'AFTER TRUNCATE', 'FOR EACH STATEMENT', 'notify_row_change(''deployments'')'),
        ('stability_deployment_alerts', 'AFTER UPDATE',
            'FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)', 'alert_deployment()')
$$;
