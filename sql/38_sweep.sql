-- Drops what is ours and no longer wanted, at once, from tables that the caller holds, and resets what we set there.
CREATE OR REPLACE FUNCTION stability.sweep() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    obsolete record;
BEGIN
    FOR obsolete IN SELECT * FROM stability.obsolete() LOOP
        EXECUTE format('DROP %s %s', obsolete.kind, obsolete.object);
    END LOOP;
    PERFORM stability.untune();
END
$$;
