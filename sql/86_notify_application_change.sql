-- The hint: which applications to look at, or all where they are many; never near the 8,000 bytes at which a notification
-- fails. After a statement, never for one that changed no row, and never at the writer's expense.
CREATE OR REPLACE FUNCTION stability.notify_application_change() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 100;  -- ids in one hint
    longest CONSTANT integer := 4000;  -- bytes
    ids jsonb := '"all"';
BEGIN
    IF current_setting('max_prepared_transactions') <> '0' OR pg_notification_queue_usage() >= 0.5 THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'TRUNCATE' THEN
        SELECT jsonb_agg(c.id) INTO ids
        FROM (SELECT DISTINCT changed.id::text AS id FROM changed LIMIT most + 1) AS c;
        IF ids IS NULL THEN
            RETURN NULL;
        ELSIF jsonb_array_length(ids) > most OR octet_length(ids::text) > longest THEN
            ids := '"all"';
        END IF;
    END IF;
    PERFORM pg_notify('stability_change', format('{"topic":"applications","ids":%s}', ids));
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
