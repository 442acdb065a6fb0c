-- The predicate "not settled" over a state column as it was found: text, varchar or an enum that may lack some of the
-- labels. A new label is active until somebody says otherwise.
CREATE OR REPLACE FUNCTION stability.active_unless(relation regclass, settled text[]) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce('state NOT IN (' || stability.known_states(relation, settled) || ')', 'true')
$$;
