-- Writes that Consul does not answer its observer, and why; what is known of services stays. Nothing is written where that is
-- known, or where another observer has begun since one that had `begun`: it knows better.
CREATE OR REPLACE FUNCTION stability.lose_consul(observer text, reason text, begun boolean) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE stability.consul AS c SET observer = lose_consul.observer, available = false, reason = left(lose_consul.reason, 400),
        since = CASE WHEN c.available THEN clock_timestamp() ELSE c.since END
    WHERE (c.available OR c.reason IS DISTINCT FROM left(lose_consul.reason, 400))
      AND (NOT begun OR c.observer = lose_consul.observer);
    IF FOUND THEN
        PERFORM stability.tell('services', '["consul"]');
    END IF;
END
$$;
