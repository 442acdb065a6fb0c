"""A server on a real Postgres, somebody who looks at it, work that begins and ends, and all that was logged."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from stability.frames import SYSTEM
from stability.postgres import EmbeddedPostgres
from stability.postgres import cluster as folders
from stability.schema.migration import migrate
from tests.chaos import beside
from tests.chaos.onlooker import Onlooker
from tests.chaos.verdict import Truth, Verdict, judge
from tests.fixtures.apart import Apart
from tests.fixtures.eventually import eventually
from tests.fixtures.postgres import SERVER_ROLE, WRITER_ROLE, Database, dsn_for, fetch, make_roles
from tests.fixtures.server import Serving, free_port, serve
from tests.fixtures.wire import Wire
from tests.fixtures.work import begin_work, end_work

SEEN: Final = 1.0  # seconds that a server without any trouble may need to tell of a commit
# what is logged at the beginning of a condition, and at its end
LOST: Final = "listener lost, the state is unknown until it is back"
UNREADABLE: Final = "cannot read the state"
END: Final = {LOST: "listening", UNREADABLE: "reading the state again"}
BUSY: Final = {"reads are slow; `stability doctor` may know why", "reads are fast again"}  # the machine's trouble
BESIDE: Final = ("stability.duty", "stability.deployments", "stability.alerts")  # whose lines are not counted
FORESEEN: Final = "failed, and begins again"
BADGE: Final = ("listener", "reading system_stability", "streams", "subscribers", "heartbeat")  # the parts it rests on


@dataclass
class Stage:
    """Everything of one test; `line` is what the server reaches its Postgres over, `way` what the onlooker has."""

    database: Database
    log: Path
    line: Wire
    way: Wire
    port: int
    server: Serving
    onlooker: Onlooker
    truths: list[Truth] = field(default_factory=list)
    told: int = 0  # lines of the log that were there before

    def work(self, begins: bool) -> None:
        """Commit that work begins, or ends."""
        with self.turning(stable=not begins):
            (begin_work if begins else end_work)(self.database)

    @contextmanager
    def turning(self, *, stable: bool) -> Iterator[None]:
        """The block commits what makes this the truth; executions and deployments are written beside it."""
        began = time.monotonic()
        yield
        self.truths.append(Truth(began, time.monotonic(), stable))
        beside.write(self.database.dsn)

    def await_rest(self) -> None:
        """Return once the server waits for hints."""
        eventually(lambda: fetch(self.database.dsn, "SELECT stability.armed() <> 0") == [True])

    def logged(self) -> Counter[str]:
        """How often each event that concerns the badge was logged, since the fault."""
        lines = map(json.loads, self.log.read_text().splitlines()[self.told :])
        return Counter(
            line["event"]
            for line in lines
            if not line["logger"].startswith(BESIDE)
            and (line["event"] != FORESEEN or line["part"] in BADGE)
            and line.get("topic", SYSTEM[0]) == SYSTEM[0]
            and line["event"] not in BUSY
        )

    @contextmanager
    def fault(
        self, what: str, conditions: Sequence[str] = (), *, stale: float = SEEN, news: Sequence[str] = ()
    ) -> Iterator["Watch"]:
        """Something breaks in the block; at its end the truth is shown, and what happened meanwhile is judged.

        The old state may outlive its truth by `stale` seconds, and no wrong state is shown otherwise. The beginning and
        the end of each of `conditions` is logged once, and `news`, and nothing else but a read that was under way. The
        log of executions and the pages agree with the tables in the end, and no deployment is left lying.
        """
        beside.write(self.database.dsn)
        self.await_rest()
        self.truths = [replace(self.truths[-1], done=time.monotonic())]
        self.told = len(self.log.read_text().splitlines())
        watch = Watch(self)
        yield watch
        verdict = judge(self.onlooker.shown, self.truths, time.monotonic())
        logged = self.logged()
        print(f"\n{what}: {watch.told(verdict)}; logged: {', '.join(logged) or 'nothing'}")
        assert verdict.lied == 0, self.onlooker.shown
        assert verdict.stale <= stale
        met = {*conditions, *({UNREADABLE} & self.logged().keys())}
        eventually(lambda: self.logged() == Counter([*news, *met, *(END[condition] for condition in met)]))
        beside.check(self.database.dsn, f"http://127.0.0.1:{self.way.port}")


class Watch:
    """Measures from the fault on."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._began = time.monotonic()
        self._repaired: float | None = None

    def left(self, within: float) -> float:
        """Seconds until so many have passed since the fault."""
        return max(within - (time.monotonic() - self._began), 0.01)

    def repaired(self) -> None:
        """From now on nothing stands in the way any more."""
        self._repaired = time.monotonic()

    def rest(self, seconds: float) -> None:
        """Let the fault last so long."""
        time.sleep(self.left(seconds))

    def unknown(self, within: float) -> None:
        """The onlooker is told that nothing is known, so soon after the fault."""
        self._stage.onlooker.wait_for(None, self.left(within))

    def truth(self, within: float) -> None:
        """The onlooker sees the truth again, so soon after the repair, or after the fault if that needs none."""
        since = self._began if self._repaired is None else self._repaired
        self._stage.onlooker.wait_for(self._stage.truths[-1].stable, within - (time.monotonic() - since))

    def told(self, verdict: Verdict) -> str:
        """What happened, in figures."""
        shown = [(at - self._began, stable) for at, stable in self._stage.onlooker.shown if at > self._began]
        unknown = next((f"unknown after {at:.2f} s, " for at, stable in shown if stable is None), "never unknown, ")
        since = 0.0 if self._repaired is None else self._repaired - self._began
        truth = shown[-1][0] - since if shown else 0.0
        wrong = f"wrong {verdict.lied:g} s"
        return f"old state for {verdict.stale:.2f} s, {unknown}truth {truth:.2f} s after the repair, {wrong}"


@contextmanager
def staged(
    database: Database, log: Path, also: Wire | None = None, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Stage]:
    """A server with its own settings and least rights on `database`, and somebody who sees it stable.

    With `also` it is given a second host, over that wire.
    """
    target, port = conninfo_to_dict(database.dsn), free_port()
    with ExitStack() as stack:
        line = stack.enter_context(Wire(f"{target['host']}/.s.PGSQL.{target['port']}").running())
        way = stack.enter_context(Wire(port).running())
        dsn = line.dsn(database.server_dsn)
        if also:
            dsn = make_conninfo(dsn, host="127.0.0.1,127.0.0.1", port=f"{line.port},{also.port}")
        server = stack.enter_context(started(dsn, port, log, **environment))
        onlooker = stack.enter_context(Onlooker(f"http://127.0.0.1:{way.port}"))
        onlooker.wait_for(True, 20)
        now = time.monotonic()
        yield Stage(database, log, line, way, port, server, onlooker, [Truth(now, now, True)])


@contextmanager
def staged_apart(database: Database, log: Path, apart: Apart) -> Iterator[Stage]:
    """The same with packets between the server and its Postgres that can be lost."""
    target, socket = conninfo_to_dict(database.dsn), log.with_name("socket")  # Unix sockets lead out of a namespace
    with ExitStack() as stack:
        line = Wire(f"{target['host']}/.s.PGSQL.{target['port']}", apart.listener())
        stack.enter_context(line.running())
        way = stack.enter_context(Wire(str(socket)).running())
        lines = stack.enter_context(log.open("a"))
        variables = {"STABILITY_LOG_FORMAT": "json", "STABILITY_UDS": str(socket)}
        serving = serve(line.dsn(database.server_dsn), before=apart.enter, ready=False, log=lines, **variables)  # type: ignore[arg-type]
        server = stack.enter_context(serving)
        eventually(socket.exists)
        onlooker = stack.enter_context(Onlooker(f"http://127.0.0.1:{way.port}"))
        onlooker.wait_for(True, 20)
        now = time.monotonic()
        yield Stage(database, log, line, way, way.port, server, onlooker, [Truth(now, now, True)])


@contextmanager
def started(dsn: str, port: int, log: Path, **environment: str) -> Iterator[Serving]:
    """A server that appends what it logs to `log`."""
    environment |= {"STABILITY_LOG_FORMAT": "json", "STABILITY_SECRET_KEY": "known to all servers"}
    with log.open("a") as lines, serve(dsn, port=port, log=lines, **environment) as server:  # type: ignore[arg-type]
        yield server


@contextmanager
def own_cluster(data_dir: Path, **options: str) -> Iterator[tuple[EmbeddedPostgres, Database]]:
    """A Postgres that may be broken, and a migrated database in it."""
    postgres = EmbeddedPostgres(data_dir, {"fsync": "off", "full_page_writes": "off", **options})
    with postgres:
        migrate(postgres.dsn)
        make_roles(postgres.dsn)
        yield postgres, database_of(postgres)


def database_of(postgres: EmbeddedPostgres) -> Database:
    """The database in a cluster of a test's own."""
    server, writer = (dsn_for(postgres, "stability", role) for role in (SERVER_ROLE, WRITER_ROLE))
    return Database("stability", postgres.dsn, server, writer)


def socket_of(postgres: EmbeddedPostgres) -> str:
    """The path of its socket."""
    return f"{folders.socket_folder(postgres.data_dir / 'postgres')}/.s.PGSQL.{folders.PORT}"
