-- The hint: "look". It never computes the answer, for inside the writer's transaction the answer would be wrong under
-- concurrency.
--
-- It runs with the writer's rights and reads nothing of ours, so that nobody's write can fail because of us; the
-- exception block is for a database where somebody took pg_notify from PUBLIC. Every name is qualified, down to the
-- operators, because the writer's search_path is anybody's. A statement that touched no row has no transaction id and
-- stays silent: idle workers that poll with SKIP LOCKED would otherwise notify in a loop. A TRUNCATE always has one.
--
-- PREPARE TRANSACTION fails after a NOTIFY. Where the server allows two-phase commits no hint is sent, and the periodic
-- re-read finds the change.
CREATE OR REPLACE FUNCTION public.notify_system_stability_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL
        AND pg_catalog.current_setting('max_prepared_transactions') OPERATOR(pg_catalog.=) '0' THEN
        PERFORM pg_catalog.pg_notify('system_stability', '{"look":0}');
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION public.notify_system_stability_change() IS 'pg-stability: tells the servers to look again';
