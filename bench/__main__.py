"""`make bench`: every figure of the README; `make bench PARTS="fanout crowd"` for some of them."""

import importlib
import socket
import sys

from bench import ground, plot

PARTS = ("start", "latency", "fanout", "keys", "crowd", "writers", "executions", "services", "large")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


asked = sys.argv[1:] or PARTS
if unknown := sorted(set(asked) - set(PARTS)):
    raise SystemExit(f"{unknown[0]!r} is no part of the bench; there are {', '.join(PARTS)}.")
print(ground.machine(), flush=True)
for name in asked:
    importlib.import_module(f"bench.{name}").run(_free_port())
plot.draw()
