-- Adds to each service's slots how long it was as it is, since it was looked at last, and that it was looked at now. All
-- services if none are named.
--
-- Where nobody looked meanwhile (`blind`), or for too long, nobody knows how it was: the slots in which looking ended and
-- began again have so much that is unknown, those in between stay empty.
CREATE OR REPLACE FUNCTION stability.credit_services(
    until timestamptz, patience interval, blind boolean, numbers bigint[] DEFAULT NULL
) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO stability.service_slots AS s (slot, service, passing, warning, critical, unknown, samples)
    SELECT p.slot, p.number,
        CASE WHEN p.status = 'passing' THEN p.ms ELSE 0 END, CASE WHEN p.status = 'warning' THEN p.ms ELSE 0 END,
        CASE WHEN p.status = 'critical' THEN p.ms ELSE 0 END, CASE WHEN p.status = 'unknown' THEN p.ms ELSE 0 END,
        (p.slot = p.newest)::integer
    FROM (
        SELECT g.slot, c.number, c.newest, CASE WHEN c.blind THEN 'unknown' ELSE c.status END AS status,
            (extract(epoch FROM least(until, g.slot + interval '5 minutes') - greatest(c.from_then, g.slot)) * 1000)::integer
                AS ms
        FROM (
            SELECT v.number, v.status, blind OR until - v.last_seen > patience AS blind,
                CASE WHEN v.status = 'gone' THEN until ELSE least(v.last_seen, until) END AS from_then,
                stability.service_slot(CASE WHEN v.status = 'gone' THEN until ELSE least(v.last_seen, until) END) AS oldest,
                stability.service_slot(until) AS newest
            FROM public.services AS v WHERE numbers IS NULL OR v.number IN (SELECT unnest(numbers))
        ) AS c
        CROSS JOIN LATERAL (
            SELECT g AS slot FROM generate_series(c.oldest, c.newest, interval '5 minutes') AS g WHERE NOT c.blind
            UNION SELECT c.oldest WHERE c.blind
            UNION SELECT c.newest WHERE c.blind
        ) AS g
    ) AS p
    WHERE p.ms > 0 OR p.slot = p.newest
    ON CONFLICT ON CONSTRAINT service_slots_pkey DO UPDATE SET
        passing = s.passing + EXCLUDED.passing, warning = s.warning + EXCLUDED.warning,
        critical = s.critical + EXCLUDED.critical, unknown = s.unknown + EXCLUDED.unknown,
        samples = s.samples + EXCLUDED.samples
$$;
