-- What public.generated_applications needs: the owner's columns, ours, and our triggers.
CREATE OR REPLACE FUNCTION stability.application_parts() RETURNS TABLE (name text, definition text, manner text, call text)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES ('id', NULL, NULL, NULL), ('model_slug', NULL, NULL, NULL), ('app_number', NULL, NULL, NULL),
        ('app_type', 'varchar(50)', NULL, NULL), ('provider', 'varchar(100)', NULL, NULL),
        ('generation_status', 'varchar(20)', NULL, NULL),
        ('has_backend', 'boolean DEFAULT false', NULL, NULL), ('has_frontend', 'boolean DEFAULT false', NULL, NULL),
        ('backend_framework', 'varchar(50)', NULL, NULL), ('frontend_framework', 'varchar(50)', NULL, NULL),
        ('container_status', 'varchar(50) DEFAULT ''unknown''', NULL, NULL),
        ('last_status_check', 'timestamptz', NULL, NULL), ('metadata_json', 'jsonb', NULL, NULL),
        ('created_at', 'timestamptz DEFAULT now()', NULL, NULL), ('updated_at', 'timestamptz DEFAULT now()', NULL, NULL),
        ('stability_keep_application', 'BEFORE UPDATE', 'FOR EACH ROW', 'keep_application()'),
        ('stability_applications_inserted', 'AFTER INSERT',
            'REFERENCING NEW TABLE AS changed FOR EACH STATEMENT', 'notify_row_change(''applications'')'),
        ('stability_applications_updated', 'AFTER UPDATE',
            'REFERENCING NEW TABLE AS changed FOR EACH STATEMENT', 'notify_row_change(''applications'')'),
        ('stability_applications_deleted', 'AFTER DELETE',
            'REFERENCING OLD TABLE AS changed FOR EACH STATEMENT', 'notify_row_change(''applications'')'),
        ('stability_applications_truncated', 'AFTER TRUNCATE', 'FOR EACH STATEMENT', 'notify_row_change(''applications'')')
$$;
