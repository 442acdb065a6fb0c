-- The register's value while triggers send hints, which is the end of that in microseconds since 1970; else 0, as also
-- while the notification queue is half full.
CREATE OR REPLACE FUNCTION stability.armed() RETURNS bigint
LANGUAGE sql VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN until > date_part('epoch', clock_timestamp()) * 1000000 AND pg_notification_queue_usage() < 0.5
        THEN until ELSE 0 END
    FROM pg_sequence_last_value('stability.armed_until') AS until
$$;
