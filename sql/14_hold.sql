-- Locks tables until the end of the transaction without ever making a writer wait for longer than 2 s, or fail by a
-- deadlock: we wait for one lock only while we hold no other, and give all of them back before the next try.
CREATE OR REPLACE FUNCTION stability.hold(relations regclass[], mode text, attempts integer DEFAULT 15) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    relation regclass;
    blockers text;
BEGIN
    FOR attempt IN 1 .. attempts LOOP
        BEGIN
            FOREACH relation IN ARRAY relations LOOP
                EXECUTE format('LOCK TABLE ONLY %s IN %s MODE %s', relation, mode,
                    CASE WHEN relation <> relations[1] THEN 'NOWAIT' END);
            END LOOP;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            SELECT string_agg(DISTINCT format('pid %s (%s)', a.pid, concat_ws(', ',
                nullif(a.application_name, ''), a.usename, a.state,
                extract(epoch FROM clock_timestamp() - a.xact_start)::integer || ' s in its transaction')), '; ')
            INTO blockers
            FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
            WHERE l.granted AND l.relation = hold.relation
              AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
        END;
        IF attempt < attempts THEN
            -- writers who queued up behind us get through; the jitter keeps us out of step with them
            PERFORM pg_sleep(0.2 + random());
        END IF;
    END LOOP;
    RAISE EXCEPTION '% is in use without a pause, now by %; wait for that to end, or end it, then try again.',
        relation, coalesce(blockers, 'a transaction that has just ended');
END
$$;
