-- Makes one of the triggers stand that keep the log, on tables that the caller holds. A partition's copy is only enabled.
CREATE OR REPLACE FUNCTION stability.place_execution_trigger(relation regclass, name name) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted record;
BEGIN
    SELECT * INTO wanted FROM stability.wanted_execution_triggers() AS w
    WHERE w.relation = place_execution_trigger.relation AND w.name = place_execution_trigger.name AND NOT w.present;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF NOT wanted.copied AND wanted.problem LIKE 'is not the trigger%' THEN
        EXECUTE format('DROP TRIGGER %I ON %s', name, relation);
    END IF;
    IF NOT wanted.copied AND wanted.problem NOT IN ('is disabled', 'is not enabled ALWAYS') THEN
        EXECUTE wanted.definition;
        EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L', name, relation, 'pg-stability: keeps the log of executions');
    END IF;
    EXECUTE format('ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER %I', relation, name);
END
$$;
