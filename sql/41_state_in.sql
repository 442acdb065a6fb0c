-- The predicate "the state is one of these" over a state column as it was found: text, varchar, an enum that lacks some of
-- the labels, or a domain over one of them; null when the column can hold none of the states.
CREATE OR REPLACE FUNCTION stability.state_in(relation regclass, states text[]) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE kind (type, depth) AS (
        SELECT a.atttypid, 0 FROM pg_attribute AS a
        WHERE a.attrelid = relation AND a.attname = 'state' AND NOT a.attisdropped
        UNION ALL
        SELECT t.typbasetype, kind.depth + 1 FROM kind JOIN pg_type AS t ON t.oid = kind.type WHERE t.typtype = 'd'
    )
    SELECT CASE WHEN kind.depth = 0 THEN 'state' ELSE 'state::' || kind.type::regtype END
        || ' IN (' || string_agg(quote_literal(wanted.state), ', ' ORDER BY wanted.ordinality) || ')'
    FROM kind
    JOIN pg_type AS t ON t.oid = kind.type AND t.typtype <> 'd'
    CROSS JOIN unnest(states) WITH ORDINALITY AS wanted (state, ordinality)
    WHERE t.typtype <> 'e'
       OR EXISTS (SELECT FROM pg_enum AS e WHERE e.enumtypid = t.oid AND e.enumlabel = wanted.state)
    GROUP BY kind.type, kind.depth
$$;
