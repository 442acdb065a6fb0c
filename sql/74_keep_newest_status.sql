-- The newest row of the log is what the next one is added to: whoever deletes old rows, by age for instance, keeps it.
CREATE OR REPLACE FUNCTION stability.keep_newest_status() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET enable_seqscan = off
AS $$
BEGIN
    IF EXISTS (SELECT FROM public.status_log AS s WHERE s.id > OLD.id) THEN
        RETURN OLD;
    END IF;
    RETURN NULL;
END
$$;
