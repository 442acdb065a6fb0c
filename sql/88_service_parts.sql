-- What public.services needs, where that table is ours: the triggers of its hints and alerts.
CREATE OR REPLACE FUNCTION stability.service_parts() RETURNS TABLE (name text, definition text, manner text, call text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT w.* FROM (VALUES
        ('stability_services_inserted', 'AFTER INSERT',
            'REFERENCING NEW TABLE AS changed FOR EACH STATEMENT', 'notify_service_change()'),
        ('stability_services_updated', 'AFTER UPDATE',
            'REFERENCING OLD TABLE AS before NEW TABLE AS changed FOR EACH STATEMENT', 'notify_service_change()'),
        ('stability_services_deleted', 'AFTER DELETE',
            'REFERENCING OLD TABLE AS changed FOR EACH STATEMENT', 'notify_service_change()'),
        ('stability_services_truncated', 'AFTER TRUNCATE', 'FOR EACH STATEMENT', 'notify_service_change()'),
        ('stability_service_alerts', 'AFTER UPDATE',
            'FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)', 'alert_service()')
    ) AS w (name, definition, manner, call)
    WHERE stability.services_are_ours()
$$;
