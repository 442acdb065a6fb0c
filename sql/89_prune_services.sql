-- Deletes what is older than `keep`, so many rows of each kind at most: samples, slots, and services that are gone as long.
-- Of those that are gone a thousand are kept, the last ones: where ids are made anew with each start there is no end of them.
-- How many that were of the kind of which there were most: as long as they are as many as may be, there may be more.
CREATE OR REPLACE FUNCTION stability.prune_services(keep interval, batch integer) RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 1000;
    old CONSTANT timestamptz := now() - keep;
    lost bigint[];
    deleted integer := 0;
    more integer;
BEGIN
    IF stability.services_are_ours() THEN
        SELECT coalesce(array_agg(g.number), '{}') INTO lost FROM (
            SELECT s.number FROM public.services AS s WHERE s.status = 'gone' ORDER BY s.last_seen DESC, s.number OFFSET most) AS g;
        DELETE FROM public.health_checks AS h WHERE h.id IN (
            SELECT o.id FROM public.services AS s CROSS JOIN LATERAL (
                SELECT c.id FROM public.health_checks AS c
                WHERE c.service = s.number AND (c."timestamp" < old OR s.number = ANY (lost))
                ORDER BY c."timestamp" LIMIT batch) AS o
            LIMIT batch);
        GET DIAGNOSTICS deleted = ROW_COUNT;
        DELETE FROM public.services AS s USING (
            SELECT g.number, g.last_seen FROM public.services AS g
            WHERE g.status = 'gone' AND (g.last_seen < old OR g.number = ANY (lost))
              AND NOT EXISTS (SELECT FROM public.health_checks AS h WHERE h.service = g.number)
            LIMIT batch) AS g
        -- whoever held a row may have brought it back: this alone is asked again of the row that he left
        WHERE s.number = g.number AND s.status = 'gone' AND s.last_seen = g.last_seen;
        GET DIAGNOSTICS more = ROW_COUNT;
        deleted := greatest(deleted, more);
    END IF;
    DELETE FROM stability.service_slots AS p WHERE (p.slot, p.service) IN (
        SELECT o.slot, o.service FROM stability.service_slots AS o WHERE o.slot < old ORDER BY o.slot, o.service LIMIT batch);
    GET DIAGNOSTICS more = ROW_COUNT;
    RETURN greatest(deleted, more);
END
$$;
