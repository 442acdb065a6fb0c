-- How a service is that has these checks: as the worst of them, and without any unknown.
CREATE OR REPLACE FUNCTION stability.worst_of_checks(checks jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((
        SELECT w.status FROM jsonb_array_elements(checks) AS c
        JOIN unnest(ARRAY['critical', 'warning', 'passing']) WITH ORDINALITY AS w (status, place) ON w.status = c ->> 'status'
        ORDER BY w.place LIMIT 1), 'unknown')
$$;
