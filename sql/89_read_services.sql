-- The services of these keys, or all, as one JSON array, and how Consul is: one snapshot. None where the tables are not ours.
CREATE OR REPLACE FUNCTION stability.read_services(
    keys text[], OUT as_of timestamptz, OUT consul jsonb, OUT services jsonb
)
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    as_of := clock_timestamp();
    services := '[]';
    IF NOT stability.services_are_ours() THEN
        consul := jsonb_build_object('available', false, 'since', NULL, 'observed_at', NULL,
            'reason', 'public.services or public.health_checks is somebody else''s');
        RETURN;
    END IF;
    SELECT to_jsonb(c) - 'one' - 'observer', coalesce(s.found, '[]') INTO consul, services
    FROM stability.consul AS c
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object('key', v.key, 'node', v.node, 'id', v.id, 'name', v.name, 'address', v.address,
            'port', v.port, 'tags', v.tags, 'url', v.meta -> 'url', 'checks', v.checks, 'status', v.status,
            'since', v.status_since, 'last_seen', v.last_seen) ORDER BY v.name, v.key) AS found
        FROM public.services AS v WHERE keys IS NULL OR v.key = ANY (keys)
    ) AS s ON true;
END
$$;
