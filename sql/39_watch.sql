-- Registers a table: the rows for which `active_when` does not yield false are work not settled.
--
--   SELECT stability.watch('mails', 'app.mail_queue', 'sent_at IS NULL', due => 'send_after');
--
-- `due` names a column that defers the rows of `deferred_when` (all, when null) until that time. `group_by` and
-- `groups` (a query of one column) count only the rows of those groups; `also` names the tables that `groups` reads.
-- Watching a name again replaces it. The index is built here while the table is small; on a large one `stability
-- migrate` builds it without blocking writers, and problems() says so. The table is vacuumed early from then on, unless
-- its owner decided otherwise: see wanted_settings().
CREATE OR REPLACE FUNCTION stability.watch(
    name text,
    relation regclass,
    active_when text,
    due text DEFAULT NULL,
    deferred_when text DEFAULT NULL,
    group_by text DEFAULT NULL,
    groups text DEFAULT NULL,
    also regclass[] DEFAULT '{}',
    trigger_name text DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    candidate stability.source := stability.describe(
        name, relation, active_when, due, deferred_when, group_by, groups, also, trigger_name);
BEGIN
    PERFORM stability.refuse_untimely(candidate);
    BEGIN
        -- planned under the search_path that it will run with
        EXECUTE 'EXPLAIN ' || stability.active_rows(candidate, '1', 1);
        EXECUTE 'EXPLAIN SELECT ' || stability.next_due(candidate);
    EXCEPTION WHEN syntax_error_or_access_rule_violation OR data_exception THEN
        RAISE EXCEPTION 'The source % cannot be read: %', name, SQLERRM
            USING ERRCODE = SQLSTATE, HINT = 'Mend the predicate or the columns that it names, then try again.';
    END;
    IF NOT candidate.polled THEN
        PERFORM stability.refuse_unindexable(candidate);
    END IF;
    PERFORM stability.refuse_foreign_triggers(candidate);
    PERFORM stability.register(candidate);
    PERFORM stability.hold_for_change(candidate);
    PERFORM stability.place_trigger(w.relation, w.name)
    FROM stability.wanted_triggers(candidate) AS w WHERE NOT w.present;
    PERFORM stability.build_small_indexes(candidate);
    PERFORM stability.tune(w.relation, w.name, w.value)
    FROM stability.wanted_settings(candidate) AS w WHERE NOT w.present;
    PERFORM stability.sweep();
END
$$;
