-- Takes back what we set and nobody changed since, on tables that the caller holds and no source watches any more.
CREATE OR REPLACE FUNCTION stability.untune() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    obsolete record;
BEGIN
    FOR obsolete IN SELECT * FROM stability.obsolete_settings() LOOP
        IF obsolete.standing THEN
            EXECUTE format('ALTER TABLE %s RESET (%s)', obsolete.relation, obsolete.name);
        END IF;
        DELETE FROM stability.tuned AS t WHERE t.relation = obsolete.relation AND t.name = obsolete.name;
    END LOOP;
END
$$;
