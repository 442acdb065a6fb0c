-- Every change of a deployment's status that is allowed; the only list of them. Tests and README are compared with it.
CREATE OR REPLACE FUNCTION stability.deployment_transitions() RETURNS TABLE (status_from text, status_to text)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
        ('pending', 'installing'), ('pending', 'starting'), ('pending', 'failed'),
        ('installing', 'starting'), ('installing', 'failed'),
        ('starting', 'running'), ('starting', 'unhealthy'), ('starting', 'stopped'), ('starting', 'failed'),
        ('running', 'unhealthy'), ('running', 'stopped'), ('running', 'failed'),
        ('unhealthy', 'running'), ('unhealthy', 'stopped'), ('unhealthy', 'failed'),
        ('stopped', 'starting'), ('stopped', 'running'), ('stopped', 'unhealthy'), ('stopped', 'failed'),
        ('failed', 'pending')
$$;
