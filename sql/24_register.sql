-- Writes down a source and teaches read_activity() and is_system_stable() about it.
CREATE OR REPLACE FUNCTION stability.register(source stability.source) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- two at once would both replace the generated functions
    LOCK TABLE stability.source IN EXCLUSIVE MODE;
    DELETE FROM stability.source AS s WHERE s.name = register.source.name AND s IS DISTINCT FROM register.source;
    INSERT INTO stability.source SELECT (register.source).* ON CONFLICT DO NOTHING;
    PERFORM stability.regenerate();
END
$$;
