-- Raises when a trigger has the name of one that a source needs, yet calls another function: it is somebody else's.
CREATE OR REPLACE FUNCTION stability.refuse_foreign_triggers(source stability.source) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    foreigner pg_trigger;
BEGIN
    SELECT t.* INTO foreigner
    FROM stability.wanted_triggers(source) AS w
    JOIN pg_trigger AS t ON t.tgrelid = w.relation AND t.tgname = w.name
    WHERE t.tgfoid <> 'public.notify_system_stability_change()'::regprocedure;
    IF FOUND THEN
        RAISE EXCEPTION 'The trigger % on % belongs to somebody else (it calls %); rename or drop it first.',
            foreigner.tgname, foreigner.tgrelid::regclass, foreigner.tgfoid::regprocedure;
    END IF;
END
$$;
