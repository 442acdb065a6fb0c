-- The triggers that keep the log, and whether each stands as it should and is enabled ALWAYS.
--
-- Those per row stand on the topmost table, whose partitions get copies of them; heirs need their own. TRUNCATE is told to
-- the table that it names alone.
CREATE OR REPLACE FUNCTION stability.wanted_execution_triggers()
RETURNS TABLE (relation regclass, name name, definition text, copied boolean, present boolean, problem text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH wanted (relation, name, definition, type, function, copied) AS (
        SELECT f.member, w.name, w.definition, w.type, w.function, w.type & 1 = 1 AND c.relispartition
        FROM stability.family(to_regclass('public.executions')) AS f
        JOIN pg_class AS c ON c.oid = f.member
        CROSS JOIN (VALUES
            ('log_execution_insert', 'CONSTRAINT TRIGGER %s AFTER INSERT ON %s DEFERRABLE INITIALLY DEFERRED'
                ' FOR EACH ROW WHEN (NEW.status IS NOT NULL)', 5, 'log_execution'),
            ('log_execution_update', 'CONSTRAINT TRIGGER %s AFTER UPDATE ON %s DEFERRABLE INITIALLY DEFERRED'
                ' FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)', 17, 'log_execution'),
            ('log_execution_delete', 'CONSTRAINT TRIGGER %s AFTER DELETE ON %s DEFERRABLE INITIALLY DEFERRED'
                ' FOR EACH ROW WHEN (OLD.status IS NOT NULL)', 9, 'log_execution'),
            ('log_executions', 'TRIGGER %s AFTER TRUNCATE ON %s FOR EACH STATEMENT', 32, 'log_executions'),
            ('note_rows_insert', 'TRIGGER %s AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT', 4,
                'note_rows'),
            ('note_rows_update', 'TRIGGER %s AFTER UPDATE ON %s'
                ' REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT', 16, 'note_rows'),
            ('note_rows_delete', 'TRIGGER %s AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT', 8,
                'note_rows'),
            -- the last of those that fire BEFORE, which is by name
            ('zz_settle_execution', 'TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW', 23, 'settle_execution')
        ) AS w (name, definition, type, function)
        WHERE f.kind IN ('r', 'p')
        UNION ALL
        SELECT to_regclass('public.status_log'), w.name, w.definition, w.type, w.function, false
        FROM (VALUES
            ('keep_newest_status', 'TRIGGER %s BEFORE DELETE ON %s FOR EACH ROW', 11, 'keep_newest_status'),
            ('log_changes_so_far', 'TRIGGER %s BEFORE TRUNCATE ON %s FOR EACH STATEMENT', 34, 'log_executions'),
            ('log_executions', 'TRIGGER %s AFTER TRUNCATE ON %s FOR EACH STATEMENT', 32, 'log_executions')
        ) AS w (name, definition, type, function)
        WHERE to_regclass('public.status_log') IS NOT NULL
        UNION ALL
        SELECT 'stability.unsorted'::regclass, 'sort_log', 'CONSTRAINT TRIGGER %s AFTER INSERT ON %s'
            ' DEFERRABLE INITIALLY DEFERRED FOR EACH ROW', 5, 'sort_log', false
    )
    SELECT w.relation, w.name::name,
        format('CREATE ' || w.definition || ' EXECUTE FUNCTION stability.%s()', w.name, w.relation, w.function),
        w.copied, found.problem IS NULL, found.problem
    FROM wanted AS w
    CROSS JOIN stability.kept AS k
    LEFT JOIN pg_trigger AS t ON t.tgrelid = w.relation AND t.tgname = w.name
    LEFT JOIN pg_proc AS p ON p.oid = t.tgfoid AND p.pronamespace = to_regnamespace('stability')
    CROSS JOIN LATERAL (SELECT CASE
            WHEN t.oid IS NULL THEN 'is missing'
            WHEN p.proname IS DISTINCT FROM w.function OR t.tgtype <> w.type
                OR t.tginitdeferred <> (w.function IN ('log_execution', 'sort_log')) THEN 'is not the trigger that Stability makes'
            WHEN t.tgenabled = 'D' THEN 'is disabled'
            WHEN t.tgenabled <> 'A' THEN 'is not enabled ALWAYS'
        END) AS found (problem)
    -- the topmost first: its copies stand then
    ORDER BY w.copied, w.relation, w.name
$$;
