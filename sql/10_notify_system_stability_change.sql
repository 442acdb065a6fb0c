-- The hint: "look". It never computes the answer, for inside the writer's transaction the answer would be wrong under
-- concurrency. It is sent only while a server has armed the register, because every commit with a NOTIFY waits for
-- every other one, cluster-wide: see stability.arm().
--
-- Nothing is lost between the two. Reading a sequence ignores snapshots, at every isolation level, and this runs after
-- the statement has changed its rows, so whoever finds the register closed has a transaction id by then, a lower one
-- than the transaction that arms it next. That holds for COPY, MERGE and TRUNCATE, for partitions and each of their
-- leaves, and within savepoints: xmin waits for the topmost transaction. What was rolled back takes its hint with it.
-- A statement that touched no row has no transaction id and stays silent: idle workers that poll with SKIP LOCKED would
-- otherwise notify in a loop. The clock is read before the value that it is compared with: however long the writer
-- sleeps in between, it then only notifies needlessly. The hint carries the value, so that a server which closes the
-- register closes what every other server has been told of too.
--
-- PREPARE TRANSACTION fails after a NOTIFY, and so does every commit with one while the queue is full. A server does
-- not arm then; what was armed before may be open still. Silence because the queue is half full is the exception to
-- what is said above: a server learns of it at its next look, and until then a writer is seen by periodic looks alone.
--
-- It runs with the writer's rights. Every name is qualified, down to the operators, because the writer's search_path is
-- anybody's. The exception block, for a database where something of this is missing or forbidden, takes 0.2 µs;
-- SECURITY DEFINER, which does not help where the register is missing, 0.3 µs.
CREATE OR REPLACE FUNCTION public.notify_system_stability_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    register pg_catalog.regclass;
    now bigint;
    armed_until bigint;
BEGIN
    register := 'stability.armed_until';
    IF pg_catalog.pg_sequence_last_value(register) OPERATOR(pg_catalog.>) 0
        AND pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL
        AND pg_catalog.current_setting('max_prepared_transactions') OPERATOR(pg_catalog.=) '0'
        AND pg_catalog.pg_notification_queue_usage() OPERATOR(pg_catalog.<) 0.5::float8 THEN
        now := pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1000000.0::float8;
        armed_until := pg_catalog.pg_sequence_last_value(register);
        IF armed_until OPERATOR(pg_catalog.>) now THEN
            PERFORM pg_catalog.pg_notify('system_stability', pg_catalog.format('{"look":%s}', armed_until));
        END IF;
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION public.notify_system_stability_change() IS 'pg-stability: tells the servers to look again';
