-- The index that public.generated_applications needs of ours, where its column stands, and whether it is valid. One that the
-- owner built under that name will do; a partitioned table goes without, since its parts would be locked for the build.
CREATE OR REPLACE FUNCTION stability.wanted_application_index()
RETURNS TABLE (relation regclass, kind "char", name name, definition text, present boolean, obstacle regclass)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.oid::regclass, c.relkind, w.name, '(last_status_check)', coalesce(i.indisvalid, false),
        CASE WHEN NOT i.indisvalid THEN i.indexrelid::regclass END
    FROM pg_class AS c
    CROSS JOIN (VALUES ('ix_generated_applications_last_status_check'::name)) AS w (name)
    LEFT JOIN (pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid) ON i.indrelid = c.oid AND x.relname = w.name
    WHERE c.oid = to_regclass('public.generated_applications') AND c.relkind = 'r'
      AND stability.has_column(c.oid::regclass, 'last_status_check')
$$;
