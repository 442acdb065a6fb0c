-- Alerts of a service that became critical, or is so no more: in the transaction of the change, once per change, and never
-- at the writer's expense. One that has just come begins critical in Consul, until it was asked the first time: that is
-- left to the next sample. It recovered if it was told as critical, whatever came in between: no check, or no service.
CREATE OR REPLACE FUNCTION stability.alert_service() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    told text;
BEGIN
    IF NEW.status = 'critical' AND OLD.status <> 'gone' THEN
        PERFORM stability.alert_critical_service(NEW.key, NEW.name, NEW.node, NEW.checks, NEW.status_since);
    ELSIF NEW.status IN ('passing', 'warning') AND OLD.status NOT IN ('passing', 'warning') THEN
        SELECT o.kind INTO told FROM stability.outbox AS o
        WHERE o.subject = left(NEW.key, 400) AND o.kind IN ('service_critical', 'service_recovered')
        ORDER BY o.since DESC, o.id DESC LIMIT 1;
        -- an outbox forgets
        IF told = 'service_critical' OR OLD.status = 'critical' AND NEW.status_since - OLD.status_since > interval '1 hour' THEN
            PERFORM stability.alert('service_recovered', NEW.key,
                format('Service %s on %s is %s again', NEW.name, NEW.node, NEW.status), NEW.status_since, '/#services');
        END IF;
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
