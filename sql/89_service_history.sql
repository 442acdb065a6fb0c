-- How services were over the last 24 hours, in slots of so many minutes, as JSON: of one of them, or of all. What lasts since
-- it was looked at last counts as well, as long as somebody looks. A slot between two samples is known as well as theirs, and
-- told with one sample at least: none means that nobody looked.
--
-- The text is put together here, since a thousand services have a hundred thousand slots: the server only passes it on. Of
-- so many that it would not bear them the answer is an error, 54000, with the remedy.
CREATE OR REPLACE FUNCTION stability.service_history(minutes integer, patience interval, wanted text DEFAULT NULL)
RETURNS TABLE (key text, data text)
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET work_mem = '64MB'
SET jit = off  -- compiling would take longer than the answer
SET plan_cache_mode = force_custom_plan  -- one plan for one and for all of them would compare every slot with every other
SET enable_nestloop = off  -- the same, where the planner takes the services for few
AS $$
#variable_conflict use_column
DECLARE
    present CONSTANT timestamptz := clock_timestamp();
    newest CONSTANT timestamptz := stability.service_slot(present, minutes);
    length CONSTANT integer := minutes * 60;  -- seconds
    oldest CONSTANT timestamptz := newest - interval '24 hours' + make_interval(secs => length);
    last CONSTANT integer := 86400 / length - 1;  -- slots are numbered from 0, the oldest
    openings CONSTANT text[] := ARRAY(
        SELECT '{"timestamp":"' || to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || '","passing":'
        FROM generate_series(oldest, newest, make_interval(secs => length)) AS t ORDER BY t);
    most CONSTANT integer := CASE WHEN minutes < 15 THEN 1000 ELSE 3000 END;  -- services: 288,000 slots, some 30 MB
    one bigint;
    there bigint;
BEGIN
    IF NOT stability.services_are_ours() THEN
        RETURN;
    END IF;
    SELECT count(*) INTO there FROM public.services AS s WHERE s.status <> 'gone' OR s.last_seen >= oldest;
    IF wanted IS NULL AND there > most THEN
        RAISE EXCEPTION USING ERRCODE = 'program_limit_exceeded', MESSAGE = format(
            '%s services are more than the %s whose slots of %s minutes are told at once; ask for %seach by its id',
            there, most, minutes, CASE WHEN there <= 3000 THEN 'slots of 15 minutes or more, or for ' ELSE '' END);
    END IF;
    SELECT s.number INTO one FROM public.services AS s WHERE s.key = wanted;
    RETURN QUERY
    WITH asked AS (
        SELECT s.number, s.key, s.status, s.last_seen FROM public.services AS s WHERE wanted IS NULL OR s.key = wanted
    ), pieces AS (
        SELECT p.service, floor(date_part('epoch', p.slot - oldest) / length)::integer AS slot,
            p.passing, p.warning, p.critical, p.unknown, p.samples, 0 AS lasting
        FROM stability.service_slots AS p
        WHERE p.slot BETWEEN oldest AND present AND (wanted IS NULL OR p.service = one)
        UNION ALL
        SELECT l.number, l.slot, CASE l.status WHEN 'passing' THEN l.ms ELSE 0 END,
            CASE l.status WHEN 'warning' THEN l.ms ELSE 0 END, CASE l.status WHEN 'critical' THEN l.ms ELSE 0 END,
            CASE l.status WHEN 'unknown' THEN l.ms ELSE 0 END, 0, (l.slot = last)::integer
        FROM (
            SELECT a.number, a.status, n AS slot, greatest(0, 1000 * date_part('epoch',
                least(present, oldest + make_interval(secs => length * (n + 1)))
                - greatest(a.last_seen, oldest + make_interval(secs => length * n))))::integer AS ms
            FROM asked AS a
            JOIN stability.consul AS c ON c.available AND a.status <> 'gone' AND present - a.last_seen <= patience
            CROSS JOIN LATERAL generate_series(
                greatest(0, floor(date_part('epoch', a.last_seen - oldest) / length)::integer), last) AS n
        ) AS l
        UNION ALL
        SELECT a.number, n, 0, 0, 0, 0, 0, 0 FROM asked AS a CROSS JOIN generate_series(0, last) AS n
    ), slots AS (
        SELECT p.service, p.slot, sum(p.passing) AS passing, sum(p.warning) AS warning, sum(p.critical) AS critical,
            sum(p.unknown) AS unknown, nullif(sum(p.passing + p.warning + p.critical + p.unknown), 0)::float8 AS total,
            greatest(sum(p.samples), max(p.lasting),
                (sum(p.passing + p.warning + p.critical + p.unknown) > 0)::integer) AS samples
        FROM pieces AS p GROUP BY 1, 2
    )
    SELECT a.key, CASE WHEN sum(p.samples) > 0 THEN '[' || string_agg(
        openings[p.slot + 1] || CASE WHEN p.total IS NULL
            THEN '0,"warning":0,"critical":0,"unknown":0,"samples":' || p.samples || '}'
            WHEN p.passing = p.total THEN '100,"warning":0,"critical":0,"unknown":0,"samples":' || p.samples || '}'
            ELSE round(1000 * p.passing / p.total) / 10 || ',"warning":' || round(1000 * p.warning / p.total) / 10
                || ',"critical":' || round(1000 * p.critical / p.total) / 10
                || ',"unknown":' || round(1000 * p.unknown / p.total) / 10 || ',"samples":' || p.samples || '}'
        END, ',' ORDER BY p.slot) || ']' ELSE '[]' END
    FROM asked AS a
    JOIN slots AS p ON p.service = a.number
    GROUP BY a.key;
END
$$;
