-- Makes one of the wanted triggers stand, on a table that the caller holds.
CREATE OR REPLACE FUNCTION stability.place_trigger(relation regclass, name name) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = relation AND t.tgname = name) THEN
        EXECUTE format('DROP TRIGGER %I ON %s', name, relation);
    END IF;
    EXECUTE format('CREATE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s'
        ' FOR EACH STATEMENT EXECUTE FUNCTION public.notify_system_stability_change()', name, relation);
    EXECUTE format('ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER %I', relation, name);
    EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L',
        name, relation, 'pg-stability: a change here may change the badge');
END
$$;
