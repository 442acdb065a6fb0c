-- Makes one of the wanted settings, on a table that the caller holds, and remembers that it was us.
CREATE OR REPLACE FUNCTION stability.tune(relation regclass, name text, value text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s SET (%s = %s)', relation, name, value);
    INSERT INTO stability.tuned VALUES (relation, name, value);
END
$$;
