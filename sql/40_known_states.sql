-- Those of the states that the relation's state column can hold, as a quoted list; null when it can hold none of them.
CREATE OR REPLACE FUNCTION stability.known_states(relation regclass, states text[]) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE kind (type) AS (
        SELECT a.atttypid FROM pg_attribute AS a
        WHERE a.attrelid = relation AND a.attname = 'state' AND NOT a.attisdropped
        UNION ALL
        SELECT t.typbasetype FROM kind JOIN pg_type AS t ON t.oid = kind.type WHERE t.typtype = 'd'
    )
    SELECT string_agg(quote_literal(wanted.state), ', ' ORDER BY wanted.ordinality)
    FROM kind
    JOIN pg_type AS t ON t.oid = kind.type AND t.typtype <> 'd'
    CROSS JOIN unnest(states) WITH ORDINALITY AS wanted (state, ordinality)
    WHERE t.typtype <> 'e'
       OR EXISTS (SELECT FROM pg_enum AS e WHERE e.enumtypid = t.oid AND e.enumlabel = wanted.state)
$$;
