-- Before a row changes: that moves updated_at with every write. A column that is gone keeps nobody from writing.
CREATE OR REPLACE FUNCTION stability.keep_application() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
EXCEPTION WHEN undefined_column THEN
    RETURN NEW;
END
$$;
