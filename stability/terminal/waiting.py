"""Waits until the system is stable; a state that nobody can prove is not."""

import asyncio
from contextlib import suppress

from stability.sight import WORDS, Follow, Sight, Tell


async def until_stable(follow: Follow, timeout: float | None, seen: Tell) -> Sight | None:  # noqa: ASYNC109
    """Return once the system is stable, or after `timeout` seconds, with what was seen last."""
    last: Sight | None = None
    stable = asyncio.get_running_loop().create_future()

    def tell(sight: Sight) -> None:
        nonlocal last
        last = sight
        seen(sight)
        if sight.state == "stable" and not stable.done():
            stable.set_result(None)

    following = asyncio.ensure_future(follow(tell))
    try:
        done, _ = await asyncio.wait({following, stable}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if stable not in done and following in done:
            following.result()  # raises what ended it
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    return last


def sentence(last: Sight | None) -> str:
    """What stands in the way, for somebody who waited in vain."""
    if last is None:
        return "no answer came yet"
    return f"{WORDS[last.state]}: {last.busy()}"
