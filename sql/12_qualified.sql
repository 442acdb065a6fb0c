-- A relation's name with its schema, both quoted where they must be: it is bound late, whatever anybody's search_path.
CREATE OR REPLACE FUNCTION stability.qualified(relation regclass) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = relation
$$;
