-- Says that an execution is over, in the transaction that ended it.
CREATE OR REPLACE FUNCTION stability.alert_execution(execution jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM stability.alert('execution_' || lower(execution ->> 'status'), 'execution ' || (execution ->> 'id'),
        concat('Execution ', execution ->> 'id', ' (' || (execution ->> 'name') || ')', ' is ', execution ->> 'status',
            ': ' || coalesce(execution ->> 'error_message', execution ->> 'reason'), '.'),
        clock_timestamp(), '/#executions');
END
$$;
