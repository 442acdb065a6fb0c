-- Appends what a server saw to the history of the badge: `seen` is a list of [state, began, until], oldest first; without
-- `until` it is so now. A state that goes on makes the newest row longer. What the history has already is left out, so that
-- one server may take over from another, and nothing is made up: where no server saw anything there is a gap.
CREATE OR REPLACE FUNCTION stability.note_states(seen jsonb) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
DECLARE
    newest record;
    one record;
BEGIN
    SELECT t.state, t.began, t.until INTO newest FROM stability.transition AS t ORDER BY t.began DESC LIMIT 1;
    FOR one IN
        SELECT s.value ->> 0 AS state, least((s.value ->> 1)::timestamptz, now()) AS began,
            least(coalesce((s.value ->> 2)::timestamptz, now()), now()) AS until
        FROM jsonb_array_elements(seen) WITH ORDINALITY AS s (value, place) ORDER BY s.place
    LOOP
        CONTINUE WHEN one.until <= greatest(one.began, newest.until);
        IF one.state = newest.state AND one.began <= newest.until THEN
            UPDATE stability.transition SET until = one.until WHERE transition.began = newest.began;
            newest.until := one.until;
        ELSE
            INSERT INTO stability.transition (began, state, until)
            VALUES (greatest(one.began, newest.until), one.state, one.until)
            RETURNING transition.state, transition.began, transition.until INTO newest;
        END IF;
    END LOOP;
END
$$;
