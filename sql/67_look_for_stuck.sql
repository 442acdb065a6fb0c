-- Remembers since when each active row is as it is, and alerts where one has been for longer than `patience`.
--
-- A source alerts at once when the first of its rows is stuck; those that follow are told together, at most once in the
-- same time, so that a queue that stands still is not a letter for each of its tasks. A row is told of once. Nothing is
-- written while nothing changes. What breaks a source is told elsewhere, and keeps what is remembered of it.
CREATE OR REPLACE FUNCTION stability.look_for_stuck(patience interval) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    registered stability.source;
    stuck record;
BEGIN
    FOR registered IN SELECT * FROM stability.source AS s ORDER BY s.name LOOP
        BEGIN
            EXECUTE format(E'WITH active AS MATERIALIZED (\n%s\n), moved AS (\n'
                '    DELETE FROM stability.seen_active AS s\n'
                '    WHERE s.source = $1 AND NOT EXISTS (SELECT FROM active AS a WHERE a.mark = s.mark)\n)\n'
                'INSERT INTO stability.seen_active (source, mark, id, since)\n'
                'SELECT $1, a.mark, a.id, clock_timestamp() FROM active AS a\n'
                'WHERE NOT EXISTS (SELECT FROM stability.seen_active AS s WHERE s.source = $1 AND s.mark = a.mark)\n'
                'ON CONFLICT DO NOTHING', stability.marked_active_rows(registered)) USING registered.name;

            SELECT count(*) AS rows, min(s.since) AS since, min(s.since) FILTER (WHERE s.told_at IS NULL) AS untold,
                max(s.told_at) AS told_at, (array_agg(s.id ORDER BY s.since, s.mark))[1] #>> '{}' AS id
            INTO stuck FROM stability.seen_active AS s
            WHERE s.source = registered.name AND s.since <= clock_timestamp() - patience;
            IF stuck.untold IS NOT NULL AND (stuck.told_at > clock_timestamp() - patience) IS NOT TRUE THEN
                PERFORM stability.alert('system_stuck', registered.name, format('%s: %s unchanged for %s minutes%s',
                    registered.name,
                    CASE stuck.rows WHEN 1 THEN '1 active row' WHEN 1000 THEN '1000 or more active rows'
                        ELSE stuck.rows || ' active rows' END,
                    floor(extract(epoch FROM clock_timestamp() - stuck.since) / 60),
                    CASE stuck.rows WHEN 1 THEN ', its id is ' ELSE ', the id of the first is ' END || stuck.id),
                    stuck.untold);
                UPDATE stability.seen_active AS s SET told_at = clock_timestamp()
                WHERE s.source = registered.name AND s.since <= clock_timestamp() - patience AND s.told_at IS NULL;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
END
$$;
