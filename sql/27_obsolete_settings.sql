-- What we set on tables that no source watches any more, and whether it still stands as we set it.
CREATE OR REPLACE FUNCTION stability.obsolete_settings() RETURNS TABLE (relation regclass, name text, standing boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.relation, t.name, EXISTS (
        SELECT FROM pg_class AS c, pg_options_to_table(c.reloptions) AS o
        WHERE c.oid = t.relation AND o.option_name = t.name AND o.option_value = t.value
          AND pg_has_role(c.relowner, 'USAGE'))
    FROM stability.tuned AS t
    WHERE NOT EXISTS (
        SELECT FROM stability.source AS s, stability.family(to_regclass(s.relation)) AS f WHERE f.member = t.relation)
$$;
