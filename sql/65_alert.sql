-- Puts an alert into the outbox, in the transaction of the change that causes it: what is rolled back alerts nobody. It
-- only writes a row, and whatever of ours is missing or forbidden, the writer goes on.
--
-- An occurrence is what is said of a subject since a moment, and is told once. Of two transactions that tell the same
-- one the second waits for the first, shorter than Postgres waits before it looks for deadlocks, and then leaves it to
-- the first. The sender is told only if it waits for that, because every commit with a NOTIFY waits for every other
-- one; it looks by itself while alerts come one after the other, and each 30 s in any case.
CREATE OR REPLACE FUNCTION stability.alert(
    kind text, subject text, fact text, since timestamptz, link text DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $$
BEGIN
    INSERT INTO stability.outbox (kind, subject, fact, since, link)
    VALUES (coalesce(left(alert.kind, 100), ''), coalesce(left(alert.subject, 400), ''),
        coalesce(left(alert.fact, 2000), ''), coalesce(alert.since, now()), left(alert.link, 2000))
    ON CONFLICT ON CONSTRAINT outbox_tells_an_occurrence_once DO NOTHING;
    IF FOUND AND pg_sequence_last_value(to_regclass('stability.alerts_awaited'))
            > date_part('epoch', clock_timestamp()) * 1000000 THEN
        PERFORM stability.tell('alerts', '"all"');
    END IF;
EXCEPTION WHEN OTHERS THEN
    NULL;
END
$$;
