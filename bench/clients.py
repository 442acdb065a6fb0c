"""Very many clients of a stream, held by C programs (`c/load.c`) that are not the bottleneck."""

import contextlib
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

HERE: Final = Path(__file__).parent
PER_PROCESS: Final = 15_000  # clients of one program: a process may hold 20,000 descriptors here


class Arrival(NamedTuple):
    """Seconds until half of the clients had it, 99 of 100, and all."""

    p50: float
    p99: float
    last: float


class Clients:
    """Clients of `path`, in as many programs as there are ports."""

    def __init__(self, built: Path, ports: Sequence[int], path: str, needle: str = "data:") -> None:
        self._programs = [
            subprocess.Popen(
                [built / "load", str(port), path, needle], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for port in ports
        ]
        self._began = 0

    def __enter__(self) -> "Clients":
        return self

    def __exit__(self, *_: object) -> None:
        for program in self._programs:
            program.kill()
            program.communicate()

    def open(self, clients: int) -> Arrival:
        """So many more in all, some hundred at a time, until each had its first bytes."""
        return self._come("open", clients)

    def herd(self, clients: int) -> Arrival:
        """The same, all at once."""
        return self._come("herd", clients)

    def stall(self, clients: int) -> None:
        """So many more that ask and never read."""
        self._tell(f"stall {clients}")
        self._answers()

    def expect(self) -> None:
        """From now on each waits for one more needle: see `arrived`."""
        self._tell("expect")
        self._answers()
        self._began = time.monotonic_ns()

    def drain(self) -> None:
        """From now on each waits for the end of its stream: see `arrived`."""
        self._tell("drain")
        self._answers()
        self._began = time.monotonic_ns()

    def arrived(self, since: int | None = None) -> Arrival:
        """What was waited for came to all; counted from then on, or from `since` on CLOCK_MONOTONIC in nanoseconds."""
        since = self._began if since is None else since
        found = [[(int(moment) - since) / 1e9 for moment in answer.split()[1:]] for answer in self._answers()]
        return Arrival(*(max(each[index] for each in found) for index in range(3)))

    def _come(self, how: str, clients: int) -> Arrival:
        self._began = time.monotonic_ns()
        share, rest = divmod(clients, len(self._programs))
        for number, program in enumerate(self._programs):
            self._say(program, f"{how} {share + (number < rest)}")
        return self.arrived()

    def _tell(self, command: str) -> None:
        for program in self._programs:
            self._say(program, command)

    @staticmethod
    def _say(program: subprocess.Popen[str], command: str) -> None:
        assert program.stdin
        program.stdin.write(f"{command}\n")
        program.stdin.flush()

    def _answers(self) -> list[str]:
        answers = [program.stdout.readline() for program in self._programs if program.stdout]
        if not all(answers):
            raise SystemExit("the clients are gone")
        return answers


@contextlib.contextmanager
def built() -> Iterator[Path]:
    """A folder with the C programs; what is started within may hold as many descriptors as the kernel allows."""
    if shutil.which("cc") is None:
        raise SystemExit("There is no C compiler here: apt-get install gcc libc6-dev")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        for program in ("load", "writer"):
            subprocess.run(["cc", "-O2", "-o", f"{folder}/{program}", HERE / "c" / f"{program}.c"], check=True)
        yield Path(folder)
