-- Gives a table what it lacks of ours, marked as ours, while no writer waits for longer than two seconds. Raises when it
-- lacks a column that only its owner can fill, and when a trigger of somebody else's has the name of one of ours.
CREATE OR REPLACE FUNCTION stability.adopt(relation regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing record;
BEGIN
    SELECT w.name INTO missing FROM stability.wanted_parts() AS w
    WHERE w.relation = adopt.relation AND NOT w.present AND w.definition IS NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% exists and has no column %; add or rename it first.', relation, missing.name;
    END IF;
    PERFORM stability.hold(ARRAY[relation], 'ACCESS EXCLUSIVE');
    PERFORM stability.refuse_foreign_parts();
    FOR missing IN SELECT w.* FROM stability.wanted_parts() AS w WHERE w.relation = adopt.relation AND NOT w.present LOOP
        IF missing.kind = 'COLUMN' THEN
            EXECUTE format('ALTER TABLE %s ADD COLUMN %s', relation, missing.definition);
            EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', relation, missing.name, 'pg-stability: added by stability migrate');
        ELSE
            EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', missing.name, relation);
            EXECUTE format('CREATE TRIGGER %I %s', missing.name, missing.definition);
            EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', relation, missing.name);
            EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L',
                missing.name, relation, 'pg-stability: keeps the rows right and tells the servers of them');
        END IF;
    END LOOP;
END
$$;
