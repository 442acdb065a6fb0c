-- Makes triggers send hints for `lease`. A server may wait for them as soon as one snapshot shows that nothing is active
-- while its xmin is above the fence. 0 where hints must not be sent: then only looking helps.
--
-- Whoever read "closed" has a transaction id by then, and any snapshot whose xmin is above a later id shows what he did.
-- So the fence may not be older than the moment at which the register opens. setval() takes an id while it holds the
-- register's buffer, which is new only if the transaction had none: that is why this is its first statement. Where another
-- server has armed the register it is open already, and any id that is taken afterwards will do.
--
-- A lease that has run half its time is prolonged by whoever comes. Whoever relied on the value that it had keeps his
-- fence, since the register was open all the time, and gets null; everybody else needs a fence of his own. The clock for
-- that is read after setval(): a lease that ran out just before it was prolonged may have silenced somebody. Who arms for
-- the first time since he listens says null, and gets a value of his own: a hint that carries the one before may have been
-- sent before he listened, and whoever hears it will close the register. Only servers take the lock. Values are
-- microseconds, so that none comes twice unless the clock is set back.
CREATE OR REPLACE FUNCTION stability.arm(
    relied_on bigint, lease interval, OUT armed_until bigint, OUT fence xid8
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    term CONSTANT bigint := extract(epoch FROM lease) * 1000000;
    before bigint;
    now bigint;
BEGIN
    IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
        RAISE EXCEPTION 'stability.arm() has to be the first statement of its transaction.';
    END IF;
    armed_until := 0;
    IF current_setting('max_prepared_transactions') <> '0' OR pg_notification_queue_usage() >= 0.5 THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('stability.armed_until', 0));
    now := date_part('epoch', clock_timestamp()) * 1000000;
    before := coalesce(pg_sequence_last_value('stability.armed_until'), 0);
    armed_until := before;
    IF relied_on IS NULL OR before < now + term / 2 THEN
        armed_until := setval('stability.armed_until', now + term);
    END IF;
    now := date_part('epoch', clock_timestamp()) * 1000000;
    IF relied_on IS DISTINCT FROM before OR before <= now THEN
        fence := pg_current_xact_id();
    END IF;
END
$$;
