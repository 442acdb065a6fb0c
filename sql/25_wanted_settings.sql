-- The storage settings that a source's tables and leaves should have, and whether each is set, or is not for us to set.
--
-- Each row that is settled leaves dead entries in the index of the active ones, and a read walks over those that nobody
-- cleared away. By default a table is vacuumed once a fifth of it is dead: two million rows of a queue that remembers
-- ten million. Here it is after 10,000, which a read walks over in a millisecond or two. That costs little, since a vacuum
-- visits only the pages that changed, and PostgreSQL 14 and newer leave the indexes alone while few of them did.
--
-- A setting that the owner made stays; so does one of ours that he changed or reset, since stability.tuned remembers what
-- we set. Partitioned tables, views and foreign tables cannot have these settings.
CREATE OR REPLACE FUNCTION stability.wanted_settings(source stability.source)
RETURNS TABLE (relation regclass, name text, value text, present boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.member, wanted.name, wanted.value,
        EXISTS (SELECT FROM pg_options_to_table(c.reloptions) AS o WHERE o.option_name = wanted.name)
            OR EXISTS (SELECT FROM stability.tuned AS t WHERE t.relation = f.member AND t.name = wanted.name)
            OR NOT pg_has_role(c.relowner, 'USAGE')
    FROM stability.family(to_regclass(source.relation)) AS f
    JOIN pg_class AS c ON c.oid = f.member
    CROSS JOIN (VALUES
        ('autovacuum_vacuum_threshold', '10000'), ('autovacuum_vacuum_scale_factor', '0')
    ) AS wanted (name, value)
    WHERE f.kind = 'r'
$$;
