-- Marks an index as ours. An index lies in the schema of its table.
CREATE OR REPLACE FUNCTION stability.mark_index(relation regclass, name name) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('COMMENT ON INDEX %I.%I IS %L', (SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.oid = relation), name, 'pg-stability: finds the active rows');
END
$$;
