-- The rights that a trigger needs of its writer in order to send a hint, with the writers of watched tables who lack one.
-- They commit all the same, in silence. EXECUTE on the trigger's own function is not among them: nobody asks for it when
-- a trigger fires.
CREATE OR REPLACE FUNCTION stability.silent_writers() RETURNS TABLE (object text, writers text, remedy text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH writer AS (
        SELECT DISTINCT r.oid, r.rolname
        FROM stability.source AS s
        CROSS JOIN LATERAL unnest(s.relation || s.also) AS watched
        CROSS JOIN LATERAL stability.family(to_regclass(watched)) AS f
        JOIN pg_roles AS r ON r.rolname !~ '^pg_' AND (
            has_table_privilege(r.oid, f.member, 'INSERT, UPDATE, DELETE, TRUNCATE')
            OR has_any_column_privilege(r.oid, f.member, 'INSERT, UPDATE'))
    )
    SELECT need.kind || ' ' || need.name,
        array_to_string((array_agg(w.rolname ORDER BY w.rolname))[:3], ', ')
            || CASE WHEN count(*) > 3 THEN format(' and %s more', count(*) - 3) ELSE '' END,
        format('run "GRANT %s ON %s %s TO PUBLIC"', need.privilege, upper(need.kind), need.name)
    FROM writer AS w
    CROSS JOIN LATERAL (VALUES
        ('schema', 'stability', 'USAGE', has_schema_privilege(w.oid, 'stability', 'USAGE')),
        ('sequence', 'stability.armed_until', 'SELECT',
            has_sequence_privilege(w.oid, to_regclass('stability.armed_until'), 'SELECT')),
        ('function', 'pg_catalog.pg_notify(text, text)', 'EXECUTE',
            has_function_privilege(w.oid, 'pg_catalog.pg_notify(text, text)', 'EXECUTE'))
    ) AS need (kind, name, privilege, held)
    WHERE NOT need.held
    GROUP BY need.kind, need.name, need.privilege
$$;
