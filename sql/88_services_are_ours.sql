-- Whether the tables of services are ours: a host may have others of these names, and then there are no services.
CREATE OR REPLACE FUNCTION stability.services_are_ours() RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(bool_and(stability.is_ours(to_regclass(t), 'pg_class')), false)
    FROM unnest(ARRAY['public.services', 'public.health_checks']) AS t
$$;
