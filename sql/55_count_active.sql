-- How many rows of a source are active: exact, hence as slow as there are many. The badge itself never counts beyond
-- 1,000.
CREATE OR REPLACE FUNCTION stability.count_active(source text) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
DECLARE
    active bigint := 0;
    registered stability.source;
BEGIN
    FOR registered IN SELECT * FROM stability.source AS s WHERE s.name = count_active.source LOOP
        EXECUTE format(E'SELECT count(*) FROM (\n%s\n) AS t', stability.active_rows(registered, '1', NULL)) INTO active;
    END LOOP;
    RETURN active;
END
$$;
