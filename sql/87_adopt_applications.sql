-- Gives public.generated_applications what it lacks of ours, marked as ours, while no writer waits for longer than two
-- seconds. Raises when the table has no column that says which application a row is.
CREATE OR REPLACE FUNCTION stability.adopt_applications() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing record;
BEGIN
    SELECT n INTO missing FROM unnest(ARRAY['id', 'model_slug', 'app_number']) AS n
    WHERE to_regclass('public.generated_applications') IS NOT NULL
      AND NOT stability.has_column('public.generated_applications', n) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'public.generated_applications exists and has no column %; add or rename it first.', missing.n;
    END IF;
    IF NOT EXISTS (SELECT FROM stability.wanted_application_parts() AS w WHERE NOT w.present) THEN
        RETURN;
    END IF;
    PERFORM stability.hold(ARRAY['public.generated_applications'::regclass], 'ACCESS EXCLUSIVE');
    FOR missing IN SELECT w.* FROM stability.wanted_application_parts() AS w WHERE NOT w.present LOOP
        IF missing.kind = 'COLUMN' THEN
            EXECUTE format('ALTER TABLE public.generated_applications ADD COLUMN %s', missing.definition);
            EXECUTE format('COMMENT ON COLUMN public.generated_applications.%I IS %L',
                missing.name, 'pg-stability: added by stability migrate');
        ELSE
            EXECUTE format('DROP TRIGGER IF EXISTS %I ON public.generated_applications', missing.name);
            EXECUTE format('CREATE TRIGGER %I %s', missing.name, missing.definition);
            EXECUTE format('ALTER TABLE public.generated_applications ENABLE ALWAYS TRIGGER %I', missing.name);
            EXECUTE format('COMMENT ON TRIGGER %I ON public.generated_applications IS %L',
                missing.name, 'pg-stability: tells the servers of applications');
        END IF;
    END LOOP;
END
$$;
