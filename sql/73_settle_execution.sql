-- Keeps what is over as it is, and stamps an execution that begins or ends. Its trigger is named to be the last of those
-- that fire BEFORE, so that it judges the status that others have left.
--
-- A table of the host's may lack any of these columns, or lose one tomorrow: only what is there is set. A progress that
-- this very statement gives to what failed or was cancelled is kept; so are times. What is given and as it was before is
-- seen by a trigger with a column list only, which would pin that column: so who gives it says the execution's id in
-- stability.progress_given, for the transaction.
CREATE OR REPLACE FUNCTION stability.settle_execution() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    over CONSTANT text[] := ARRAY['FINISHED', 'FAILED', 'CANCELLED'];
    reached CONSTANT text := NEW.status;
    columns CONSTANT text[] := ARRAY(
        SELECT a.attname FROM pg_attribute AS a
        WHERE a.attrelid = TG_RELID AND NOT a.attisdropped
          AND a.attname IN ('progress', 'start_date', 'end_date', 'updated_at'));
    before text;
    explicit boolean;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        before := OLD.status;
        IF before = ANY (over) AND reached IS DISTINCT FROM before THEN
            RAISE EXCEPTION 'Execution % is % and stays that: it cannot become %.', NEW.id, before, coalesce(reached, 'NULL')
                USING ERRCODE = 'check_violation', HINT = 'Make a new execution instead.';
        END IF;
        IF before = ANY (over) AND 'progress' = ANY (columns) THEN
            IF NEW.progress IS DISTINCT FROM OLD.progress THEN
                RAISE EXCEPTION 'Execution % is %: its progress stays % and cannot become %.',
                    NEW.id, before, OLD.progress, NEW.progress USING ERRCODE = 'check_violation';
            END IF;
        END IF;
        IF 'updated_at' = ANY (columns) THEN
            IF NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at THEN
                NEW.updated_at := clock_timestamp();
            END IF;
        END IF;
        IF reached IS NOT DISTINCT FROM before THEN
            RETURN NEW;
        END IF;
    END IF;

    IF reached = 'RUNNING' AND 'start_date' = ANY (columns) THEN
        NEW.start_date := coalesce(NEW.start_date, clock_timestamp());
    END IF;
    IF reached = ANY (over) THEN
        IF 'end_date' = ANY (columns) THEN
            NEW.end_date := coalesce(NEW.end_date, clock_timestamp());
        END IF;
        IF 'progress' = ANY (columns) THEN
            IF TG_OP = 'UPDATE' THEN
                explicit := NEW.progress IS DISTINCT FROM OLD.progress
                    OR current_setting('stability.progress_given', true) = NEW.id::text;
            ELSE
                explicit := NEW.progress <> 0;
            END IF;
            IF reached = 'FINISHED' OR explicit IS NOT TRUE OR NEW.progress IS NULL THEN
                NEW.progress := 100;
            END IF;
        END IF;
    END IF;
    RETURN NEW;
END
$$;
