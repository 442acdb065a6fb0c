-- Before a row is written: refuses a change of status that is not allowed, and keeps messages and moments in step with
-- the status. A message that comes with the new status is of that status; one that was there before is of the old one.
--
-- One that is to be made anew has no machine: whatever of its own still exists is found by its name. With a health URL it
-- runs elsewhere, and is not made.
--
-- A status that the list does not know is the host's, and goes wherever he wants. A column that is gone keeps nobody from
-- writing.
CREATE OR REPLACE FUNCTION stability.keep_deployment() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    allowed text[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.status_since := coalesce(NEW.status_since, clock_timestamp());
        RETURN NEW;
    END IF;
    IF NEW.status IS DISTINCT FROM OLD.status THEN
        SELECT array_agg(t.status_to ORDER BY t.status_to) INTO allowed
        FROM stability.deployment_transitions() AS t WHERE t.status_from = OLD.status::text;
        IF NEW.status::text <> ALL (allowed)
            AND EXISTS (SELECT FROM stability.deployment_transitions() AS t WHERE t.status_from = NEW.status::text) THEN
            RAISE EXCEPTION 'Deployment % cannot go from % to %: from % it may go to % only.',
                OLD.id, OLD.status, NEW.status, OLD.status, array_to_string(allowed, ', ')
                USING ERRCODE = 'check_violation', CONSTRAINT = 'deployment_transition_is_allowed',
                    SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME;
        END IF;
        NEW.status_since := clock_timestamp();
        IF NEW.progress_message IS NOT DISTINCT FROM OLD.progress_message THEN
            NEW.progress_message := NULL;
        END IF;
    END IF;
    IF NEW.status::text IN ('running', 'stopped') THEN
        NEW.error_message := NULL;
    END IF;
    -- that it was looked at again is no change of a deployment
    IF to_jsonb(NEW) - 'last_checked_at' <> to_jsonb(OLD) - 'last_checked_at' THEN
        NEW.updated_at := clock_timestamp();
    END IF;
    IF OLD.status::text = 'failed' AND NEW.status::text = 'pending' AND NEW.health_url IS NULL
        AND NEW.machine_id IS NOT DISTINCT FROM OLD.machine_id THEN
        NEW.machine_id := NULL;
    END IF;
    RETURN NEW;
EXCEPTION WHEN undefined_column OR undefined_function OR undefined_table THEN
    RETURN NEW;
END
$$;
