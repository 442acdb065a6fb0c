-- Locks tables until the end of the transaction, while nobody who writes them waits for longer than 2 s or fails.
--
-- Whoever holds one lock and waits for another can be part of a deadlock, and Postgres may end the writer instead of us.
-- It looks for one when somebody has waited for `deadlock_timeout`. Writers may wait from the moment we ask for the first
-- lock, so we are done with waiting, or have given everything back, at three quarters of that time. The order that
-- writers lock in is not known: every second attempt tries another. Among writers who lock in every order and do not
-- pause, an attempt has luck on its side or fails: it gives up soon, and there are many.
CREATE OR REPLACE FUNCTION stability.hold(relations regclass[], mode text, patience interval DEFAULT '30 s')
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    deadlock CONSTANT numeric :=  -- ms; however long that is, nobody is to wait for longer than 2 s
        least(1000 * extract(epoch FROM current_setting('deadlock_timeout')::interval), 2000);
    others CONSTANT integer := cardinality(relations) - 1;
    enough CONSTANT timestamptz := clock_timestamp() + patience;
    attempt integer := 0;
    wanted regclass;
    blockers text;
BEGIN
    LOOP
        attempt := attempt + 1;
        BEGIN
            PERFORM set_config('lock_timeout',
                CASE WHEN others > 0 THEN least(deadlock / 2, 2000) ELSE 2000 END::integer::text, true);
            FOR wanted IN
                SELECT r FROM unnest(relations) WITH ORDINALITY AS u (r, n)
                ORDER BY CASE WHEN attempt % 2 = 1 THEN n ELSE random() END
            LOOP
                EXECUTE format('LOCK TABLE ONLY %s IN %s MODE', wanted, mode);
                PERFORM set_config('lock_timeout',
                    greatest(random() * deadlock / 4 / greatest(others, 1), 1)::integer::text, true);
            END LOOP;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_stat_clear_snapshot();
            SELECT string_agg(DISTINCT format('pid %s (%s)', a.pid, concat_ws(', ',
                nullif(a.application_name, ''), a.usename, a.state,
                extract(epoch FROM clock_timestamp() - a.xact_start)::integer || ' s in its transaction')), '; ')
            INTO blockers
            FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
            WHERE l.granted AND l.relation = wanted
              AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
        END;
        EXIT WHEN clock_timestamp() >= enough;
        -- writers who queued up behind us get through; the jitter keeps us out of step with them
        PERFORM pg_sleep(CASE WHEN others > 0 THEN 0.05 + 0.2 * random() ELSE 0.2 + random() END);
    END LOOP;
    RAISE EXCEPTION '% is in use without a pause, now by %; wait for that to end, or end it, then try again.',
        wanted, coalesce(blockers, 'a transaction that has just ended');
END
$$;
