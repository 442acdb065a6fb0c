-- The hint of a topic: which rows to look at by their ids, or "all" where they are many; never near the 8,000 bytes at which
-- a notification fails. PREPARE TRANSACTION fails after a NOTIFY, and so does every commit with one while the queue is full:
-- then the periodic look finds the change.
CREATE OR REPLACE FUNCTION stability.tell(topic text, ids jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 100;  -- ids in one hint
    longest CONSTANT integer := 4000;  -- bytes
    many CONSTANT boolean := jsonb_typeof(ids) = 'array' AND (jsonb_array_length(ids) > most OR octet_length(ids::text) > longest);
BEGIN
    IF current_setting('max_prepared_transactions') = '0' AND pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify('stability_change',
            format('{"topic":"%s","ids":%s}', topic, CASE WHEN many THEN '"all"' ELSE ids::text END));
    END IF;
END
$$;
