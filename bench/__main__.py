"""`make bench`: every figure of the README, in one run."""

import socket

from bench import crowd, fanout, ground, large, latency, start, writers


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


print(ground.machine(), flush=True)
for part in (start, latency, crowd, fanout, writers, large):
    part.run(_free_port())
