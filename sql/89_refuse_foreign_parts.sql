-- Raises when a trigger has the name of one that a monitor's table needs, yet is neither marked as ours nor calls a
-- function of ours: it is somebody else's. Asked here, so that a migration is refused as a whole, and again by adopt().
CREATE OR REPLACE FUNCTION stability.refuse_foreign_parts() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    foreigner pg_trigger;
BEGIN
    SELECT t.* INTO foreigner
    FROM stability.wanted_parts() AS w
    JOIN pg_trigger AS t ON t.tgrelid = w.relation AND t.tgname = w.name
    JOIN pg_proc AS p ON p.oid = t.tgfoid
    WHERE w.kind = 'TRIGGER' AND NOT stability.is_ours(t.oid, 'pg_trigger') AND p.pronamespace <> 'stability'::regnamespace;
    IF FOUND THEN
        RAISE EXCEPTION 'The trigger % on % belongs to somebody else (it calls %); rename or drop it first.',
            foreigner.tgname, foreigner.tgrelid::regclass, foreigner.tgfoid::regprocedure;
    END IF;
END
$$;

SELECT stability.refuse_foreign_parts();
