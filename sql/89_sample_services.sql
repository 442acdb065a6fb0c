-- Writes that every service is still as it was told last: a row for each of its checks, and how long it has been so. False,
-- and nothing is written, where another observer has begun since.
--
-- A service that came critical, and is so after half a minute, is alerted now.
CREATE OR REPLACE FUNCTION stability.sample_services(
    observer text, patience interval, moment timestamptz DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known stability.consul;
BEGIN
    SELECT c.* INTO known FROM stability.consul AS c FOR UPDATE;
    IF known.observer IS DISTINCT FROM sample_services.observer OR NOT known.available THEN
        RETURN false;
    END IF;
    moment := stability.service_moment(coalesce(moment, clock_timestamp()), known.observed_at, patience);
    PERFORM stability.credit_services(moment, patience, false, ARRAY(
        SELECT s.number FROM public.services AS s WHERE s.status <> 'gone'));
    UPDATE public.services SET last_seen = moment WHERE status <> 'gone';
    INSERT INTO public.health_checks (service, check_name, status, "timestamp")
    SELECT s.number, c ->> 'name', c ->> 'status', moment
    FROM public.services AS s CROSS JOIN LATERAL jsonb_array_elements(s.checks) AS c
    WHERE s.status <> 'gone';
    PERFORM stability.alert_critical_service(s.key, s.name, s.node, s.checks, s.status_since)
    FROM public.services AS s
    WHERE s.status = 'critical'
      AND s.status_since BETWEEN moment - greatest(interval '10 minutes', 3 * patience) AND moment - interval '30 seconds';
    UPDATE stability.consul SET observed_at = moment;
    PERFORM stability.tell('services', '["consul"]');
    RETURN true;
END
$$;
