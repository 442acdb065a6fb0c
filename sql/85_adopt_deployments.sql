-- Gives public.deployments what it lacks of ours, marked as ours, while no writer waits for longer than two seconds.
-- Raises when the table has no column that says which deployment, how it is called, or how it is.
CREATE OR REPLACE FUNCTION stability.adopt_deployments() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing record;
BEGIN
    SELECT n INTO missing FROM unnest(ARRAY['id', 'name', 'status']) AS n
    WHERE to_regclass('public.deployments') IS NOT NULL AND NOT stability.has_column('public.deployments', n) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'public.deployments exists and has no column %; add or rename it first.', missing.n;
    END IF;
    IF NOT EXISTS (SELECT FROM stability.wanted_deployment_parts() AS w WHERE NOT w.present) THEN
        RETURN;
    END IF;
    PERFORM stability.hold(ARRAY['public.deployments'::regclass], 'ACCESS EXCLUSIVE');
    FOR missing IN SELECT w.* FROM stability.wanted_deployment_parts() AS w WHERE NOT w.present LOOP
        IF missing.kind = 'COLUMN' THEN
            EXECUTE format('ALTER TABLE public.deployments ADD COLUMN %s', missing.definition);
            EXECUTE format('COMMENT ON COLUMN public.deployments.%I IS %L',
                missing.name, 'pg-stability: added by stability migrate');
        ELSE
            EXECUTE format('DROP TRIGGER IF EXISTS %I ON public.deployments', missing.name);
            EXECUTE format('CREATE TRIGGER %I %s', missing.name, missing.definition);
            EXECUTE format('ALTER TABLE public.deployments ENABLE ALWAYS TRIGGER %I', missing.name);
            EXECUTE format('COMMENT ON TRIGGER %I ON public.deployments IS %L',
                missing.name, 'pg-stability: keeps deployments and tells the servers of them');
        END IF;
    END LOOP;
END
$$;
