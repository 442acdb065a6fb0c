-- Alerts of a deployment that became unhealthy, failed, or runs again: in the transaction of the change, once per change,
-- and never at the writer's expense. It recovered if it was told as unhealthy or failed, whatever came in between: it was
-- stopped, or made anew.
CREATE OR REPLACE FUNCTION stability.alert_deployment() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    told text;
BEGIN
    IF NEW.status::text IN ('unhealthy', 'failed') THEN
        PERFORM stability.alert('deployment_' || NEW.status::text, NEW.id::text,
            concat_ws(': ', format('Deployment %s is %s', NEW.name, NEW.status), NEW.error_message), NEW.status_since,
            '/#deployments');
    ELSIF NEW.status::text = 'running' THEN
        SELECT o.kind INTO told FROM stability.outbox AS o
        WHERE o.subject = left(NEW.id::text, 400)
          AND o.kind IN ('deployment_unhealthy', 'deployment_failed', 'deployment_recovered')
        ORDER BY o.since DESC, o.id DESC LIMIT 1;
        -- an outbox forgets
        IF told IN ('deployment_unhealthy', 'deployment_failed') OR OLD.status::text = 'unhealthy' THEN
            PERFORM stability.alert('deployment_recovered', NEW.id::text,
                format('Deployment %s runs again', NEW.name), NEW.status_since, '/#deployments');
        END IF;
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
