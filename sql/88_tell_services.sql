-- The hint of services: which to look at, or all where they are many. PREPARE TRANSACTION fails after a NOTIFY, and so does
-- every commit with one while the queue is full: then the periodic look finds the change.
CREATE OR REPLACE FUNCTION stability.tell_services(keys jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 100;  -- ids in one hint
    longest CONSTANT integer := 4000;  -- bytes, of 8,000 at which a notification fails
    many CONSTANT boolean := jsonb_typeof(keys) = 'array'
        AND (jsonb_array_length(keys) > most OR octet_length(keys::text) > longest);
BEGIN
    IF current_setting('max_prepared_transactions') = '0' AND pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify('stability_change',
            format('{"topic":"services","ids":%s}', CASE WHEN many THEN '"all"' ELSE keys::text END));
    END IF;
END
$$;
