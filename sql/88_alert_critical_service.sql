-- The alert of a service that is critical, with the checks that say so; of the same moment it is told once.
CREATE OR REPLACE FUNCTION stability.alert_critical_service(
    key text, name text, node text, checks jsonb, since timestamptz
) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT stability.alert('service_critical', key, concat_ws(': ', format('Service %s on %s is critical', name, node), (
        SELECT string_agg(c ->> 'name', ', ' ORDER BY c ->> 'name') FROM jsonb_array_elements(checks) AS c
        WHERE c ->> 'status' = 'critical')), since, '/#services')
$$;
