-- Every source as it should be: the standard ones described afresh, all others as they were registered.
CREATE OR REPLACE FUNCTION stability.candidates() RETURNS SETOF stability.source
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM stability.standard_sources()
    UNION ALL
    SELECT * FROM stability.source AS s
    WHERE s.name NOT IN (SELECT standard.name FROM stability.standard_sources() AS standard)
$$;
