-- Raises where no index could hold the rows that a predicate of this source names, as where it asks the clock: Postgres
-- says so in words of its own, and of a large table only when `stability migrate` builds the index.
CREATE OR REPLACE FUNCTION stability.refuse_unindexable(source stability.source) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    predicate record;
BEGIN
    FOR predicate IN
        SELECT * FROM (VALUES ('active_when', source.active_when), ('deferred_when', source.deferred_when)) AS p (name, value)
        WHERE p.value IS NOT NULL
    LOOP
        BEGIN
            EXECUTE format('CREATE TEMP TABLE stability_trial (LIKE %s) ON COMMIT DROP', source.relation);
            EXECUTE format(E'CREATE INDEX ON pg_temp.stability_trial ((true)) WHERE (%s\n)', predicate.value);
            RAISE EXCEPTION USING ERRCODE = 'triggered_action_exception';  -- undoes both
        EXCEPTION
            WHEN invalid_object_definition OR feature_not_supported OR grouping_error OR windowing_error THEN
                RAISE EXCEPTION 'The source % cannot be watched: % (%) asks for more than the row, such as the clock; '
                    'leave that out, and name the column of the moment in due.', source.name, predicate.name, predicate.value
                    USING ERRCODE = SQLSTATE;
            WHEN triggered_action_exception OR insufficient_privilege THEN
                NULL;
        END;
    END LOOP;
END
$$;
