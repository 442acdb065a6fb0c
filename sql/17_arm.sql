-- Makes triggers send hints for `lease`. A server may wait for them as soon as one snapshot shows that nothing is active
-- while its xmin is above the fence. 0 where hints must not be sent: then only looking helps.
--
-- setval() takes a transaction id while it holds the register's buffer, so whoever read "closed" before has a lower one,
-- and any snapshot whose xmin is higher shows what he did. For that the id has to be a new one, which is why this is
-- the first statement of its transaction, and the only one. Where another server has armed the register it is open
-- already, and any id that is taken afterwards will do.
--
-- A lease that has run half its time is prolonged by whoever comes. Whoever relied on the value that it had keeps his
-- fence, since the register was open all the time, and gets null; everybody else needs a fence of his own. Who arms for
-- the first time since he listens says null, and gets a value of his own: a hint that carries the one before may have been
-- sent before he listened, and whoever hears it will close the register. Only servers take the lock. Values are
-- microseconds, so that none comes twice.
CREATE OR REPLACE FUNCTION stability.arm(
    relied_on bigint, lease interval, OUT armed_until bigint, OUT fence xid8
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    term CONSTANT bigint := extract(epoch FROM lease) * 1000000;
    now bigint;
    relies boolean;
BEGIN
    IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
        RAISE EXCEPTION 'stability.arm() has to be the first statement of its transaction.';
    END IF;
    armed_until := 0;
    IF current_setting('max_prepared_transactions') <> '0' OR pg_notification_queue_usage() > 0.5 THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('stability.armed_until', 0));
    now := date_part('epoch', clock_timestamp()) * 1000000;
    armed_until := coalesce(pg_sequence_last_value('stability.armed_until'), 0);
    relies := coalesce(relied_on = armed_until AND armed_until > now, false);
    IF relied_on IS NULL OR armed_until < now + term / 2 THEN
        armed_until := setval('stability.armed_until', now + term);
    END IF;
    IF NOT relies THEN
        fence := pg_current_xact_id();
    END IF;
END
$$;
