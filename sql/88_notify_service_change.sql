-- After a statement on public.services: which of them to look at. That one was looked at again is no change of it, since
-- `consul` says it of all. Never at the writer's expense. Nested loops are off because a plan made for no row would be kept
-- for ten thousand, which took twenty seconds.
CREATE OR REPLACE FUNCTION stability.notify_service_change() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
AS $$
DECLARE
    keys jsonb := '"all"';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        SELECT jsonb_agg(c.key) INTO keys FROM (
            SELECT n.key FROM changed AS n JOIN before AS o ON o.number = n.number
            WHERE (n.node, n.id, n.name, n.address, n.port, n.tags, n.meta, n.checks, n.status, n.first_seen)
                IS DISTINCT FROM (o.node, o.id, o.name, o.address, o.port, o.tags, o.meta, o.checks, o.status, o.first_seen)
            UNION
            SELECT o.key FROM before AS o WHERE NOT EXISTS (SELECT FROM changed AS n WHERE n.key = o.key)
        ) AS c;
    ELSIF TG_OP <> 'TRUNCATE' THEN
        SELECT jsonb_agg(c.key) INTO keys FROM changed AS c;
    END IF;
    IF keys IS NOT NULL THEN
        PERFORM stability.tell('services', keys);
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
