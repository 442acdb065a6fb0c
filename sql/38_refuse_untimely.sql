-- Raises where the due column of this source is of a type that has no date. Domains are left to the planner.
CREATE OR REPLACE FUNCTION stability.refuse_untimely(source stability.source) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type regtype;
BEGIN
    SELECT t.oid::regtype INTO type FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = source.relation::regclass AND a.attname = source.due_column AND NOT a.attisdropped
      AND t.typtype <> 'd' AND t.oid NOT IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype);
    IF FOUND THEN
        RAISE EXCEPTION 'The source % cannot be watched: due (%) is a column of type %; name one of type timestamptz.',
            source.name, source.due_column, type USING ERRCODE = 'datatype_mismatch';
    END IF;
END
$$;
