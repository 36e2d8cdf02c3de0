"""What a function weighs: the memory it takes, the time it needs to begin, the bytes that are shipped."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import weakref
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import stream
from bench.figures import Control, Figure, Growth, Target
from bench.world import BEGINS, REGIONS, Bench, Size, document
from patchtide.aws.spokes import Spokes
from patchtide.core.location import Location
from ship import layer
from ship.build import build
from simulator.template import ROOT, Template, load

TEMPLATE = Template(load(ROOT / "template.yaml"), "999900001111", "eu-west-1")
FUNCTIONS = tuple(name.removesuffix("Function").lower() for name in TEMPLATE.of_type("AWS::Serverless::Function"))
SDK = (
    "boto3",
    "botocore",
    "s3transfer",
    "jmespath",
    "urllib3",
    "python-dateutil",
    "six",
)  # the SDK's own, in Lambda, too
SERVICES = ("ec2", "ssm")  # that a collector asks in a location
HUBS_OWN = 2  # clients of the collector: DynamoDB's and STS's
PATIENCE = 300  # seconds
MIB = 2**20


# --- memory -------------------------------------------------------------------------------------------------------------


def peak_rss(bench: Bench) -> Figure:
    """peakRssMiB."""
    told = templates(bench)
    grown: dict[int, float] = {}
    for instances in bench.scale.streamed:
        bench.say(f"collecting and reporting {instances:,} instances in a process of its own")
        grown[instances] = streamed(instances, "stream", told)
    most = max(grown)
    bench.say("the same with all rows in a list")
    return Figure(
        "peakRssMiB",
        f"memory of a process that collects and reports {most:,} instances",
        "the most that was ever resident, in MiB; collector and reporter are the real ones, AWS' answers are made as they are asked for",
        grown[most],
        Target("most", 128),
        Control("a report whose rows are all read before the first is written", streamed(most, "list", told)),
        Growth("instances", "MiB", "constant", grown),
    )


def templates(bench: Bench) -> str:
    """The items of a run that was played, of which those of any fleet are made."""
    played = bench.play(bench.sizes[0])
    held = played.memory.tables.tables["RunsTable"].items
    mine = {sk: item for (pk, sk), item in held.items() if pk == f"run#{played.run}"}

    def first(prefix: str) -> Mapping[str, Any]:
        return next(item for sk, item in mine.items() if sk.startswith(prefix))

    told = {
        "run": mine["run"],
        "tally": first("run#tally#"),
        "executions": [item for sk, item in mine.items() if sk.startswith("run#execution#")],
        "version": next(item for (_, sk), item in held.items() if sk.startswith("version#")),
        "row": first("instance#"),
    }
    return json.dumps(told, default=int)  # numbers come out of DynamoDB as decimals


def streamed(instances: int, way: str, told: str) -> float:
    """The most memory, in MiB, of a process that collects and reports so many instances. Raises RuntimeError where not all of
    them came out right."""
    answer = json.loads(_python(["-m", stream.__name__, str(instances), way], stdin=told))
    if answer["compliant"] != instances:
        raise RuntimeError(f"{instances} instances were collected, and {answer['compliant']} of them are compliant")
    return float(answer["mib"])


def clients_alive(bench: Bench) -> Figure:
    """clientsAlive."""
    asked = {locations: alive(locations) for locations in bench.scale.asked}
    most = max(asked)
    return Figure(
        "clientsAlive",
        f"boto3 clients alive in a collector that has asked {most:,} locations",
        f"the most clients of members that were alive at once, for {' and '.join(SERVICES)} in each location, + {HUBS_OWN} of the hub's",
        asked[most],
        Target("most", 64),
        Control("a collector that never lets a client go", alive(most, keep=True)),
        Growth("locations", "clients", "constant", {size: float(found) for size, found in asked.items()}),
        {f"mibAfter{count}Accounts": clients_mib(count) for count in bench.scale.connected},
    )


class _Client:
    """What stands for a boto3 client, and can be watched while it is alive. Each kind of them counts its own."""

    def close(self) -> None:
        """There is no connection to close."""


def alive(locations: int, *, keep: bool = False) -> int:
    """The most clients that were alive at once in a collector that asked so many locations, or in one that keeps them all."""
    clients, kept, most = weakref.WeakSet[_Client](), list[_Client](), 0

    def connect(*_: object, **__: object) -> _Client:
        made = _Client()
        clients.add(made)
        kept.extend([made] if keep else [])
        return made

    spokes = Spokes(stream._Tokens(), "reader", lambda: BEGINS, connect=connect)  # type: ignore[arg-type]
    for account in document(locations // Size(1).regions)["accounts"]:
        for region in REGIONS:
            where = Location(account, region)
            spokes.at(where)
            for service in SERVICES:
                spokes.client(service, where)
            most = max(most, len(clients) + HUBS_OWN)
    return most


CLIENTS = """
import datetime, gc, json, os, sys
from types import SimpleNamespace

from patchtide.aws.spokes import Spokes
from patchtide.core.location import Location

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

keys = {"AccessKeyId": "key", "SecretAccessKey": "secret", "SessionToken": "token"}
granted = {"Credentials": keys | {"Expiration": datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)}}
sts = SimpleNamespace(meta=SimpleNamespace(partition="aws"), assume_role=lambda **_: granted)
spokes = Spokes(sts, "reader", lambda: datetime.datetime(2026, 12, 5, tzinfo=datetime.UTC))
before = resident()
for number in range(int(sys.argv[1])):
    for service in json.loads(sys.argv[2]):
        spokes.client(service, Location(f"{number:012d}", "eu-west-1"))
gc.collect()
print(resident() - before)
"""


def clients_mib(accounts: int) -> float:
    """What real clients keep resident, in MiB, of a collector that asked so many accounts. 0 where the system does not say."""
    if not Path("/proc/self/statm").exists():
        return 0
    return float(_python(["-c", CLIENTS, str(accounts), json.dumps(SERVICES)]))


# --- beginning ----------------------------------------------------------------------------------------------------------

OURS = "import app"
MORE = """
import app
import aws_lambda_powertools.utilities.idempotency
import aws_lambda_powertools.utilities.parser
import patchtide.core.document
"""
SPY = """
import json
from boto3.session import Session

made, inside = [], 0

def spied(kind, real):
    def make(self, name, *args, **more):
        global inside
        made.extend([] if inside else [(kind, name)])
        inside += 1
        try:
            return real(self, name, *args, **more)
        finally:
            inside -= 1
    return make

Session.client, Session.resource = spied("client", Session.client), spied("resource", Session.resource)
import app
print(json.dumps(made))
"""
TIMED = """
import time
began = time.process_time()
{}
print(time.process_time() - began)
"""


def cold_import(function: str, bench: Bench) -> Figure:
    """coldImportRatio of one function."""
    bench.say(f"importing the {function}, {bench.scale.imports} times beside the bare SDK")
    made = json.loads(_imported(function, SPY))
    bare = "import boto3\nfrom botocore.config import Config\nconfig = Config(retries={'mode': 'standard'})\n"
    bare += "".join(f"boto3.{kind}({name!r}, config=config)\n" for kind, name in made)
    ours, sdk, more = fastest(function, (OURS, bare, MORE), bench.scale.imports)
    return Figure(
        f"coldImportRatio.{function}",
        f"time to import the {function}, over that of the SDK alone",
        "CPU seconds to import the function's app ÷ CPU seconds to import boto3 and make the same clients "
        f"({', '.join(name for _, name in made)}); each in new processes, in turn, the fastest of {bench.scale.imports}, compiled before",
        ours / sdk,
        Target("most", 1.15),
        Control("the same with the validator and Powertools' parser and idempotency", more / sdk),
        None,
        {"milliseconds": ours * 1000, "millisecondsOfTheSdk": sdk * 1000},
    )


def fastest(function: str, programs: Iterable[str], rounds: int) -> Iterator[float]:
    """The shortest time that each of the programs took. They take turns, so that a busy minute is a busy minute for all."""
    programs = tuple(programs)
    for program in programs:
        _imported(function, program)  # so that all is compiled and in the system's cache
    taken = [[float(_imported(function, TIMED.format(program))) for program in programs] for _ in range(rounds)]
    return map(min, zip(*taken, strict=True))


def _imported(function: str, program: str) -> str:
    """What the program prints where the function's code is at hand, in the environment that the template gives to it."""
    given = {**TEMPLATE.environment(f"{function.capitalize()}Function"), "AWS_DEFAULT_REGION": "eu-west-1"}
    return _python(
        ["-c", program], {**given, "PYTHONPATH": f"{ROOT / 'functions' / function}:{ROOT / 'layers/patchtide'}"}
    )


def _python(words: Iterable[str], environment: Mapping[str, str] | None = None, stdin: str = "") -> str:
    """What Python prints, in a process of its own. Raises RuntimeError with what went wrong."""
    given = environment or {"PYTHONPATH": f"{ROOT}:{ROOT / 'layers/patchtide'}"}
    done = subprocess.run(  # noqa: S603 - our own interpreter, our own words
        [sys.executable, *words],
        env={"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true", **given},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


# --- shipping -----------------------------------------------------------------------------------------------------------


def package(bench: Bench) -> Figure:
    """packageMiB."""
    bench.say("building what goes to Lambda")
    with TemporaryDirectory() as room:
        build(Path(room))
        built = Path(room) / "build"
        sizes = {path.name: _bytes(files(path)) for path in built.iterdir() if path.is_dir()}
        sdk = set(_of_the_sdk(built / "DependenciesLayer"))
        everything = [path for part in ("PatchtideLayer", "DependenciesLayer") for path in files(built / part)]
        ours = [path for path in everything if path not in sdk]
        function = max(size for name, size in sizes.items() if name.endswith("Function"))
        weighed = _bytes(ours) + function
        return Figure(
            "packageMiB",
            "MiB that a function brings along, besides the SDK",
            "bytes of both layers and the largest function, as `sam build` makes them and `sam deploy` uploads them (zipped), "
            f"without the SDK's own ({', '.join(SDK)})",
            (_zipped(ours) + function) / MIB,
            Target("most", 8),
            Control("the same unzipped, with the SDK", (_bytes(everything) + function) / MIB),
            None,
            {
                "unzippedMiB": weighed / MIB,
                "patchtideMiB": sizes["PatchtideLayer"] / MIB,
                "unzippedWithTheSdkMiB": (_bytes(everything) + function) / MIB,
                "lambdaTakesMiB": 250,
            },
        )


def files(folder: Path) -> list[Path]:
    """All files below a folder."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _bytes(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _of_the_sdk(built: Path) -> Iterator[Path]:
    """The files of the layer that its distributions of the SDK brought."""
    for name, one in layer.shipped(built).items():
        if name in SDK:
            yield from files(one.folder)
            for module in one.modules:
                yield from files(built / "python" / module)
                yield built / "python" / f"{module}.py"


def _zipped(paths: Iterable[Path]) -> int:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path)
    return whole.tell()


FIGURES: Mapping[str, Callable[[Bench], Figure]] = {
    "peakRssMiB": peak_rss,
    "clientsAlive": clients_alive,
    **{f"coldImportRatio.{function}": partial(cold_import, function) for function in FUNCTIONS},
    "packageMiB": package,
}
