-- Builds a source's missing indexes where that is a matter of milliseconds, on tables that the caller holds. A
-- transaction cannot build CONCURRENTLY, and a plain build of a large table would hold up its writers: those are left
-- to `stability migrate`, with a notice.
CREATE OR REPLACE FUNCTION stability.build_small_indexes(source stability.source) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    small CONSTANT bigint := 8 * 1024 * 1024;  -- bytes
    size bigint;
    wanted record;
BEGIN
    FOR wanted IN SELECT * FROM stability.wanted_indexes(source) AS w WHERE NOT w.present LOOP
        SELECT sum(pg_relation_size(f.member)) INTO size FROM stability.family(wanted.relation) AS f;
        IF wanted.obstacle IS NOT NULL OR size > small THEN
            RAISE NOTICE '% is large: run "stability migrate" to build its index %', wanted.relation, wanted.name;
        ELSE
            EXECUTE format('CREATE INDEX %I ON %s %s', wanted.name, wanted.relation, wanted.definition);
            PERFORM stability.mark_index(wanted.relation, wanted.name);
        END IF;
    END LOOP;
END
$$;
