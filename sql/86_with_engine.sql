-- What the engine answered last, put into an application's metadata beside what its owner keeps there. Metadata that are no
-- object stay as they are.
CREATE OR REPLACE FUNCTION stability.with_engine(metadata text, answer jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept CONSTANT jsonb := coalesce(metadata::jsonb, '{}');
BEGIN
    RETURN CASE jsonb_typeof(kept)
        WHEN 'object' THEN kept || jsonb_build_object('docker', answer)
        WHEN 'null' THEN jsonb_build_object('docker', answer)
        ELSE kept
    END;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
