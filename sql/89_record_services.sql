-- Writes what an observer of Consul found: these services are so, those are gone; with `whole`, all that are not among the
-- found ones are gone. False, and nothing is written, where another observer has begun since: it knows better.
--
-- All in one transaction: the service as it is, a row for each check that changed, how long it was as it was before, hints
-- and alerts. Whoever writes waits for the one before, so that no time is counted twice.
CREATE OR REPLACE FUNCTION stability.record_services(
    told jsonb, gone text[], whole boolean, observer text, patience interval, moment timestamptz DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known stability.consul;
    touched bigint[];
BEGIN
    SELECT c.* INTO known FROM stability.consul AS c FOR UPDATE;
    IF NOT whole AND known.observer IS DISTINCT FROM record_services.observer THEN
        RETURN false;
    END IF;
    IF NOT stability.services_are_ours() THEN
        RAISE EXCEPTION 'public.services or public.health_checks is somebody else''s; rename it, then stability migrate.';
    END IF;
    moment := stability.service_moment(coalesce(moment, clock_timestamp()), known.observed_at, patience);

    SELECT array_agg(s.number) INTO touched
    FROM public.services AS s
    LEFT JOIN jsonb_to_recordset(told) AS f (node text, id text) ON f.node = s.node AND f.id = s.id
    WHERE f.id IS NOT NULL OR s.status <> 'gone' AND (whole OR s.key = ANY (record_services.gone));
    PERFORM stability.credit_services(moment, patience, NOT known.available, coalesce(touched, '{}'));

    UPDATE public.services AS s SET status = 'gone', status_since = moment, last_seen = moment, checks = '[]'
    WHERE s.number IN (SELECT unnest(touched))
      AND NOT EXISTS (SELECT FROM jsonb_to_recordset(told) AS f (node text, id text) WHERE f.node = s.node AND f.id = s.id);

    WITH before AS (
        SELECT s.number, s.checks FROM public.services AS s WHERE s.number IN (SELECT unnest(touched))
    ), now AS (
        INSERT INTO public.services AS s (
            node, id, name, address, port, tags, meta, checks, status, status_since, first_seen, last_seen)
        SELECT f.node, f.id, f.name, f.address, f.port, f.tags, f.meta, f.checks, stability.worst_of_checks(f.checks),
            moment, moment, moment
        FROM jsonb_to_recordset(told) AS f (
            node text, id text, name text, address text, port integer, tags jsonb, meta jsonb, checks jsonb)
        ON CONFLICT ON CONSTRAINT services_pkey DO UPDATE SET
            name = EXCLUDED.name, address = EXCLUDED.address, port = EXCLUDED.port, tags = EXCLUDED.tags,
            meta = EXCLUDED.meta, checks = EXCLUDED.checks, status = EXCLUDED.status, last_seen = EXCLUDED.last_seen,
            status_since = CASE s.status WHEN EXCLUDED.status THEN s.status_since ELSE EXCLUDED.status_since END
        RETURNING s.number, s.checks
    )
    INSERT INTO public.health_checks (service, check_name, status, "timestamp")
    SELECT n.number, c ->> 'name', c ->> 'status', moment
    FROM now AS n LEFT JOIN before AS b ON b.number = n.number
    CROSS JOIN LATERAL jsonb_array_elements(n.checks) AS c
    WHERE NOT coalesce(b.checks @> jsonb_build_array(jsonb_build_object('id', c -> 'id', 'status', c -> 'status')), false);

    INSERT INTO stability.service_slots AS p (slot, service, samples)
    SELECT stability.service_slot(moment), s.number, 1 FROM public.services AS s
    WHERE s.last_seen = moment AND s.status <> 'gone' AND s.number NOT IN (SELECT unnest(touched))
    ON CONFLICT ON CONSTRAINT service_slots_pkey DO UPDATE SET samples = p.samples + 1;

    UPDATE stability.consul AS c SET observer = record_services.observer, available = true, observed_at = moment,
        since = CASE WHEN known.available THEN c.since ELSE moment END, reason = NULL;
    IF whole THEN
        PERFORM stability.tell('services', '["consul"]');
    END IF;
    RETURN true;
END
$$;
