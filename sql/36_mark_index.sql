-- Marks an index as ours. An index lies in the schema of its table.
CREATE OR REPLACE FUNCTION stability.mark_index(relation regclass, name name) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('COMMENT ON INDEX %s.%I IS %L',
        (SELECT c.relnamespace::regnamespace FROM pg_class AS c WHERE c.oid = relation), name,
        'pg-stability: finds rows by their status');
END
$$;
