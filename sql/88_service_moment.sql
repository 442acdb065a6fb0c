-- The moment at which services are looked at, never before the last one: a clock that was set back a little stands until it
-- has caught up. Of one that was set back further all that was seen later counts as seen now, or it would look fresh for as
-- long, whatever became of the observer.
CREATE OR REPLACE FUNCTION stability.service_moment(present timestamptz, observed timestamptz, patience interval)
RETURNS timestamptz
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF observed - present > patience THEN
        UPDATE public.services SET last_seen = present, status_since = least(status_since, present) WHERE last_seen > present;
        RETURN present;
    END IF;
    RETURN greatest(present, observed);
END
$$;
