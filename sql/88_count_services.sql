-- How many services are there, those that are gone left out: an observer who knows more or fewer has to look again.
CREATE OR REPLACE FUNCTION stability.count_services() RETURNS bigint
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT count(*) FROM public.services AS s WHERE s.status <> 'gone');
END
$$;
