-- Alerts of a deployment that became unhealthy, failed, or runs again after it was unhealthy: in the transaction of the
-- change, once per change, and never at the writer's expense.
CREATE OR REPLACE FUNCTION stability.alert_deployment() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.status::text IN ('unhealthy', 'failed') THEN
        PERFORM stability.alert('deployment_' || NEW.status::text, NEW.id::text,
            concat_ws(': ', format('Deployment %s is %s', NEW.name, NEW.status), NEW.error_message), NEW.status_since,
            '/#deployments');
    ELSIF NEW.status::text = 'running' AND OLD.status::text = 'unhealthy' THEN
        PERFORM stability.alert('deployment_recovered', NEW.id::text,
            format('Deployment %s runs again', NEW.name), NEW.status_since, '/#deployments');
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
