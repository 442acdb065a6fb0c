-- After a statement on a table with ids: hints which rows of the topic, its argument, to look at. Never for a statement that
-- changed no row, and never at the writer's expense.
CREATE OR REPLACE FUNCTION stability.notify_row_change() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids jsonb := '"all"';
BEGIN
    IF TG_OP <> 'TRUNCATE' THEN
        SELECT jsonb_agg(c.id) INTO ids
        FROM (SELECT DISTINCT changed.id::text AS id FROM changed LIMIT 101) AS c;  -- one more than a hint holds
    END IF;
    IF ids IS NOT NULL THEN
        PERFORM stability.tell(TG_ARGV[0], ids);
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
