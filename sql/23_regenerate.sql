-- Writes the two functions that answer "is anything active?" as static SQL over the registered sources.
--
-- plpgsql binds late: the host may alter, rename or drop a watched table without a word from us, and the source that
-- broke answers NULL with its reason while the others go on. row_security = off turns rows that the owner may not see
-- into an error, never into a false "stable". Sequential scans are off because a plan cached over a small or never
-- analysed table would outlive that table's smallness; compilation is off because a missing index would then cost a
-- second of it. No variable of theirs may have a name that a column could have had: it would stand in for the column
-- once that is dropped. What Postgres says of a value is not repeated, since the badge is public. A source whose lock is
-- not to be had within `lock_timeout` is not broken: that read fails, and the server tries again.
CREATE OR REPLACE FUNCTION stability.regenerate() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pinned CONSTANT text := 'LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp'
        ' SET row_security = off SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off';
    reads text := '';
    probes text := '';
    source stability.source;
BEGIN
    FOR source IN SELECT * FROM stability.source AS s ORDER BY s.name LOOP
        reads := reads || format(
            E'\n    BEGIN\n        RETURN QUERY SELECT %1$L::text, n > 0, least(n, 1000)::integer, n > 1000,\n'
            '        (%2$s)::double precision, NULL::text\n'
            '        FROM (SELECT count(*) FROM (SELECT FROM (\n%3$s\n) AS a LIMIT 1001) AS a) AS c (n);\n'
            '    EXCEPTION\n    WHEN lock_not_available THEN\n        RAISE;\n    WHEN OTHERS THEN\n'
            '        RETURN QUERY SELECT %1$L::text, NULL::boolean, NULL::integer, NULL::boolean,\n'
            '            NULL::double precision,\n'
            '            CASE WHEN SQLSTATE ~ ''^(42|55|57)'' THEN SQLERRM\n'
            '                ELSE ''its predicate failed with SQLSTATE '' || SQLSTATE END;\n    END;',
            source.name, stability.next_due(source), stability.active_rows(source, '1', 1001));
        probes := probes || format(
            E'\n    BEGIN\n        IF EXISTS (\n%s\n) THEN RETURN false; END IF;\n'
            '    EXCEPTION WHEN OTHERS THEN\n        known$ := NULL;\n    END;',
            stability.active_rows(source, '1', 1));
    END LOOP;

    EXECUTE format('CREATE OR REPLACE FUNCTION stability.read_activity() RETURNS SETOF stability.activity %s AS %L',
        pinned, E'\nBEGIN' || reads || E'\nEND\n');

    -- True when no source has an active row, false when one has, NULL when none is known to and one cannot be read.
    EXECUTE format('CREATE OR REPLACE FUNCTION public.is_system_stable() RETURNS boolean %s AS %L',
        pinned, E'\nDECLARE\n    known$ boolean := true;\nBEGIN' || probes || E'\n    RETURN known$;\nEND\n');
    COMMENT ON FUNCTION public.is_system_stable() IS 'pg-stability: whether all work is settled; null when not known';

    -- whoever serves the old answer has to look again
    IF current_setting('max_prepared_transactions') = '0' THEN
        PERFORM pg_notify('system_stability', '{"look":0}');
    END IF;
END
$$;
