"""What the collector does beside what boto3 makes it do: both over real clients whose requests are answered in the process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import boto3
import botocore.session
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore import xform_name
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.loaders import create_loader
from botocore.model import OperationModel

from bench.figures import Control, Figure, Target
from bench.world import Bench, Size, looked_at, stage
from patchtide.aws.attributes import speak_plainly
from patchtide.aws.clients import CONFIG
from patchtide.aws.runs import Registry, Runs
from patchtide.aws.spokes import Spokes
from patchtide.aws.table import Table
from patchtide.aws.table import _decoded as decoded
from patchtide.core.location import Location
from patchtide.core.roster import Inquiry, LocationState
from patchtide.core.states import WaveState
from patchtide.flow.collector import Collector, ahead, collect
from simulator.memory import QUESTIONS, READ_ROLE, RETENTION, Memory
from simulator.proof.history import History, Weather, silent
from simulator.protocol import Door, Params, Reply, Request
from simulator.world import World

LATER = 15  # minutes after everything has ended, when all patch states have come
HUB = "the hub"


# --- a fleet that has been patched, and has not been asked --------------------------------------------------------------


def unasked(size: Size) -> History:
    """A campaign that was played until everything had ended, while no question for evidence arrived."""
    history, _ = stage(size)
    history.weather = Weather(delivery=lambda _, what: ("lost",) if '"evidence"' in what else ("now",))
    with silent():
        while history.step():
            run = looked_at(history)
            if run and run.waves[0].state is WaveState.COLLECTING:
                break
        for _ in range(LATER):
            history.step()
    return history


def questions(memory: Memory) -> list[Inquiry]:
    """What a collector is asked about each location."""
    runs = Runs(memory.table(), RETENTION, memory.now)
    with memory.quietly():
        run = next(iter(Registry(memory.table()).runs_of("web", 1)))
        wave = runs.load(run).run.waves[0].name
        found = list(runs.locations(run, wave, LocationState.ENDED))
    return [Inquiry("evidence", run, wave, one.location.account, one.location.region) for one in found]


# --- AWS in the process -------------------------------------------------------------------------------------------------


class _Body(BytesIO):
    """A body as urllib3 would hand it over."""

    def stream(self, **_: object) -> Iterator[bytes]:
        while found := self.read():
            yield found


@dataclass(frozen=True)
class Asked:
    """One boto3 call as it was made: by whose client, and with what."""

    whose: str
    region: str
    service: str
    operation: str
    params: Mapping[str, Any]


@dataclass
class Wires:
    """Where requests of real clients end. The first time they are answered by the world and its tables, and answers are kept;
    after `rewind` they are given again in the same order, which costs next to nothing."""

    world: World
    memory: Memory
    asked: list[Asked] = field(default_factory=list)
    answers: list[tuple[str, Reply]] = field(default_factory=list)
    noting: bool = True
    place: int = 0

    def __post_init__(self) -> None:
        self._door = Door(self.world.services.values(), self.world.identities, lambda: self.world.clock.now)
        self._loader = create_loader()

    def rewind(self) -> None:
        """From here on everything was asked before."""
        self.noting, self.place = False, 0

    def session(self, whose: str, key: str, secret: str, token: str | None = None) -> boto3.Session:
        """A session of that key. All of them read the service models together."""
        inner = botocore.session.Session()
        inner.register_component("data_loader", self._loader)
        made = boto3.Session(key, secret, token, region_name=self.world.hub_region, botocore_session=inner)

        def note(params: Params, model: OperationModel, context: Mapping[str, Any], **_: object) -> None:
            if self.noting:
                service = model.service_model.service_name
                self.asked.append(Asked(whose, context["client_region"], service, model.name, dict(params)))

        made.events.register_first("before-send", self._answer)  # type: ignore[arg-type] # what it gives is the answer
        made.events.register("provide-client-params", note)
        return made

    def _answer(self, event_name: str, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        _event, service, operation = event_name.split(".")
        if service == "sts":  # who asks anew for every question has more of these
            reply = self._door.answer(_request(request))
        elif self.noting:
            reply = (
                self._of_tables(operation, request) if service == "dynamodb" else self._door.answer(_request(request))
            )
            self.answers.append((operation, reply))
        else:
            known, reply = self.answers[self.place]
            if known != operation:
                raise RuntimeError(f"{operation} is asked where {known} was asked before")
            self.place += 1
        return AWSResponse(request.url, reply.status, dict(reply.headers), _Body(reply.body))  # type: ignore[arg-type]

    def _of_tables(self, operation: str, request: AWSPreparedRequest) -> Reply:
        params = _plain(json.loads(_bytes(request)))
        answer = getattr(self.memory.tables, xform_name(operation))(**params)
        return Reply(200, json.dumps(_typed(answer)).encode(), {"Content-Type": "application/x-amz-json-1.0"})


ITEMS = ("Item", "Key", "ExpressionAttributeValues", "ExclusiveStartKey", "LastEvaluatedKey")
LISTS = ("Items", "Keys")


def _plain(value: Any) -> Any:
    """A request of DynamoDB's with Python's own types for items."""
    return _changed(value, lambda found: {name: TypeDeserializer().deserialize(one) for name, one in found.items()})


def _typed(value: Any) -> Any:
    """An answer with DynamoDB's types for items."""
    return _changed(value, lambda found: {name: TypeSerializer().serialize(one) for name, one in found.items()})


def _changed(value: Any, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Any:
    if isinstance(value, list):
        return [_changed(one, change) for one in value]
    if not isinstance(value, Mapping):
        return value
    return {
        name: change(one)
        if name in ITEMS
        else [change(inner) for inner in one]
        if name in LISTS
        else {table: [change(inner) for inner in found] for table, found in one.items()}
        if name == "Responses"
        else _changed(one, change)
        for name, one in value.items()
    }


def _request(request: AWSPreparedRequest) -> Request:
    sent: Any = request.headers
    headers = {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in sent.items()}
    return Request(request.url, headers, _bytes(request), str(request.method))


def _bytes(request: AWSPreparedRequest) -> bytes:
    body: Any = request.body or b""
    return body.encode() if isinstance(body, str) else bytes(body)


# --- ours, and the bare loop --------------------------------------------------------------------------------------------


@dataclass
class Race:
    """The same fleet collected over and over: by our collector, and by a loop that makes the same calls and does nothing else."""

    history: History

    def __post_init__(self) -> None:
        memory, world = self.history.memory, self.history.world
        memory.boundary.watch = None
        self.wires = Wires(world, memory)
        self.now = memory.now()
        self.asked = questions(memory)
        hub = self.wires.session(HUB, world.organization.hub, "not-a-secret")
        self.sts = hub.client("sts", config=CONFIG)
        self.table = Table(speak_plainly(hub.client("dynamodb", config=CONFIG)), "RunsTable")
        self.spokes = self._spokes()
        self.collect(self.spokes)
        self.wires.rewind()

    def _spokes(self) -> Spokes:
        return Spokes(self.sts, READ_ROLE, lambda: self.now, connect=self._connect)

    def _connect(self, service: str, region_name: str, aws_access_key_id: str, **more: Any) -> Any:
        """What boto3.client makes, with its requests ending here."""
        identity = self.history.world.identities.of(aws_access_key_id)
        keys = aws_access_key_id, more.pop("aws_secret_access_key"), more.pop("aws_session_token")
        session: Any = self.wires.session(identity.account if identity else "", *keys)
        return session.client(service, region_name=region_name, **more)

    def collect(self, spokes: Spokes | None = None) -> None:
        """Ours. Without spokes, as if every question came to a sandbox that knows nobody."""
        decoded.cache_clear()  # what is read in one pass was not read in the one before
        runs = Runs(self.table, RETENTION, lambda: self.now)
        registry = Registry(self.table)
        for first in range(0, len(self.asked), QUESTIONS):
            batch = self.asked[first : first + QUESTIONS]
            with ahead(batch, Collector(registry, runs, self.spokes, lambda: self.now)):
                for inquiry in batch:
                    collect(inquiry, Collector(registry, runs, spokes or self._spokes(), lambda: self.now))

    def bare(self) -> Callable[[], None]:
        """The loop that makes the same calls, with everything it needs at hand."""
        loops = [(getattr(self._client(one), xform_name(one.operation)), one.params) for one in self.wires.asked]

        def run() -> None:
            for call, params in loops:
                call(**params)

        return run

    def _client(self, one: Asked) -> Any:
        if one.whose == HUB:
            return self.table.client if one.service == "dynamodb" else self.sts
        return self.spokes.client(one.service, Location(one.whose, one.region))

    def seconds(self, run: Callable[[], None]) -> float:
        """The CPU seconds that one pass takes."""
        self.wires.rewind()
        began = time.process_time()
        run()
        return time.process_time() - began


def throughput(bench: Bench) -> Figure:
    """throughput."""
    size = Size(bench.scale.collected, bench.scale.per_location)
    bench.say(f"collecting {size.instances:,} instances over real clients, beside a bare loop")
    with silent():
        race = Race(unasked(size))
        ways = (lambda: race.collect(race.spokes), race.bare())
        ours, bare = fastest(race, ways, bench.scale.rounds)
        (worse,) = fastest(race, (race.collect,), 1)
    return Figure(
        "throughput",
        "rows that the collector keeps in a CPU second, over a bare boto3 loop",
        "CPU seconds of a loop that makes the same boto3 calls with parameters at hand ÷ CPU seconds of the collector; the same real "
        f"clients, answers given in the process, in turn, the fastest of {bench.scale.rounds}",
        bare / ours,
        Target("least", 0.8),
        Control("a collector that makes a session and clients for every question", bare / worse),
        None,
        {
            "rowsPerCpuSecond": size.instances / ours,
            "calls": len(race.wires.answers),
            "millisecondsOfACall": bare / len(race.wires.answers) * 1000,
        },
    )


def fastest(race: Race, ways: Sequence[Callable[[], None]], rounds: int) -> Iterator[float]:
    """The shortest time of each way. They take turns, so that a busy minute is a busy minute for all."""
    return map(min, zip(*[[race.seconds(way) for way in ways] for _ in range(rounds)], strict=True))


FIGURES: Mapping[str, Callable[[Bench], Figure]] = {"throughput": throughput}
