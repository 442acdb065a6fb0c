-- Notes how many rows a statement has left to be logged, where there are several: stability.sort_log() then puts them into
-- the order of their ids. Where no statement fires this, as in logical replication, each row is logged as it comes. Nested
-- loops are off because a plan made for two rows would be kept for ten thousand.
CREATE OR REPLACE FUNCTION stability.note_rows() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
AS $$
#variable_conflict use_variable
DECLARE
    several boolean;
    noted bigint;
BEGIN
    IF TG_OP = 'DELETE' THEN
        several := EXISTS (SELECT FROM old_rows OFFSET 1);
    ELSE
        several := EXISTS (SELECT FROM new_rows OFFSET 1);
    END IF;
    IF NOT several THEN
        RETURN NULL;
    ELSIF TG_OP = 'INSERT' THEN
        noted := (SELECT count(*) FROM new_rows AS n WHERE n.status IS NOT NULL);
    ELSIF TG_OP = 'DELETE' THEN
        noted := (SELECT count(*) FROM old_rows AS o WHERE o.status IS NOT NULL);
    ELSE
        noted := (SELECT count(*) FROM old_rows AS o JOIN new_rows AS n ON n.id = o.id
            WHERE n.status IS DISTINCT FROM o.status);
    END IF;
    IF noted > 1 THEN
        INSERT INTO stability.unsorted VALUES (noted);
    END IF;
    RETURN NULL;
END
$$;
