-- The beginning of the slot that a moment lies in: slots of five minutes, or of more, are aligned to UTC.
CREATE OR REPLACE FUNCTION stability.service_slot(moment timestamptz, minutes integer DEFAULT 5) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT pg_catalog.to_timestamp(
        pg_catalog.floor(pg_catalog.date_part('epoch', moment) OPERATOR(pg_catalog./) (minutes OPERATOR(pg_catalog.*) 60))
            OPERATOR(pg_catalog.*) minutes OPERATOR(pg_catalog.*) 60)
$$;
