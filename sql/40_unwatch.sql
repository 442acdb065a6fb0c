-- Forgets a source: its triggers, its indexes and what we set on its tables go as well. Unwatch, migrate your table, watch again.
CREATE OR REPLACE FUNCTION stability.unwatch(name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    LOCK TABLE stability.source IN EXCLUSIVE MODE;
    DELETE FROM stability.source AS s WHERE s.name = unwatch.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'There is no source named %; stability.source lists them.', unwatch.name
            USING ERRCODE = 'undefined_object';
    END IF;
    PERFORM stability.regenerate();
    PERFORM stability.hold_for_change(NULL);
    PERFORM stability.sweep();
END
$$;
