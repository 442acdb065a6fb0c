-- Whether an object was made by us: its comment says so, and comments survive a dump, a restore and a reindex.
CREATE OR REPLACE FUNCTION stability.is_ours(object oid, catalog name) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(obj_description(object, catalog) LIKE 'pg-stability:%', false)
$$;
