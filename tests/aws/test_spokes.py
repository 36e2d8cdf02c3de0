"""What a collector keeps of the locations that it sees: so many clients, and no keys that are no longer good."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from patchtide.aws.spokes import MAX_CLIENTS, Spokes
from patchtide.core.errors import Busy, PutOff
from patchtide.core.location import Location

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
REGIONS = ("eu-west-1", "eu-west-2")
HUB_CLIENTS = 2  # the collector's own: DynamoDB and STS
MOST_ALIVE = 64


@dataclass(repr=False)  # of 20,000 it would take minutes to say what failed
class Client:
    """Stands for a client that is open until it is closed."""

    keys: Mapping[str, str]
    open: set[int]

    def __post_init__(self) -> None:
        self.open.add(id(self))

    def close(self) -> None:
        self.open.remove(id(self))


@dataclass(repr=False)
class Sandbox:
    """A collector that lives, with its clock, its STS and the clients that it opened."""

    now: datetime = NOON
    assumed: list[str] = field(default_factory=list)
    made: list[Client] = field(default_factory=list)
    open: set[int] = field(default_factory=set)
    most: int = 0
    lasts: dict[str, timedelta] = field(default_factory=dict)

    @property
    def spokes(self) -> Spokes:
        sts: Any = SimpleNamespace(meta=SimpleNamespace(partition="aws"), assume_role=self._assume)
        return Spokes(sts, "reader", lambda: self.now, self._connect)

    def _assume(self, RoleArn: str, **_: str) -> Mapping[str, Any]:  # noqa: N803 - AWS's own word
        account = RoleArn.split(":")[4]
        self.assumed.append(account)
        keys = {"AccessKeyId": account, "SecretAccessKey": "s", "SessionToken": f"{account} {len(self.assumed)}"}
        return {"Credentials": {**keys, "Expiration": self.now + self.lasts.get(account, timedelta(hours=1))}}

    def _connect(self, service: str, **given: Any) -> Client:
        made = Client(given, self.open)
        self.made.append(made)
        self.most = max(self.most, len(self.open))
        return made


def account(number: int) -> str:
    return f"{number:012d}"


def test_a_sandbox_that_sees_20_000_locations_has_few_clients_open() -> None:
    sandbox = Sandbox()
    spokes = sandbox.spokes
    for number in range(10_000):
        for region in REGIONS:
            spokes.client("ssm", Location(account(number), region))
    assert len(sandbox.made) == 20_000
    assert sandbox.most == MAX_CLIENTS <= MOST_ALIVE - HUB_CLIENTS
    assert len(sandbox.assumed) == 10_000  # one token is good in all Regions of its account


def test_what_was_used_last_is_kept() -> None:
    sandbox = Sandbox()
    spokes = sandbox.spokes
    kept = spokes.client("ssm", Location(account(0), "eu-west-1"))
    for number in range(1, 2 * MAX_CLIENTS):
        spokes.client("ssm", Location(account(number), "eu-west-1"))
        assert spokes.client("ssm", Location(account(0), "eu-west-1")) is kept


def test_keys_that_are_about_to_expire_are_asked_for_anew_and_their_clients_closed() -> None:
    sandbox = Sandbox()
    spokes, here = sandbox.spokes, Location(account(1), "eu-west-1")
    old = spokes.client("ssm", here)
    spokes.client("ec2", here)
    sandbox.now += timedelta(minutes=51)
    new = spokes.client("ssm", here)
    assert new is not old
    assert new.keys["aws_session_token"] != old.keys["aws_session_token"]
    assert sandbox.open == {id(new)}


def test_keys_that_expire_before_older_ones_are_replaced_as_well() -> None:
    sandbox = Sandbox(lasts={account(2): timedelta(minutes=15)})
    spokes, there = sandbox.spokes, Location(account(2), "eu-west-1")
    lasting = spokes.client("ssm", Location(account(1), "eu-west-1"))
    old = spokes.client("ssm", there)
    sandbox.now += timedelta(minutes=6)
    new = spokes.client("ssm", there)
    assert new.keys != old.keys
    assert sandbox.open == {id(lasting), id(new)}


def test_keys_that_nobody_asks_for_again_are_forgotten() -> None:
    sandbox = Sandbox()
    spokes = sandbox.spokes
    for number in range(300):
        spokes.at(Location(account(number), "eu-west-1"))
        sandbox.now += timedelta(minutes=1)
    assert len(spokes._roles) <= 51


def test_a_client_of_boto3_that_is_let_go_is_gone() -> None:
    sandbox = Sandbox()
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    spokes = sandbox.spokes
    session = boto3.Session()

    def connect(service: str, **given: Any) -> Any:
        made = session.client(service, **given)  # type: ignore[call-overload]
        alive.add(made)
        return made

    spokes.connect = connect
    for number in range(2 * MOST_ALIVE):
        spokes.client("sts", Location(account(number), "eu-west-1"))
    gc.collect()
    assert len(alive) == MAX_CLIENTS


def test_who_is_left_alone_is_reached_where_it_is_urgent() -> None:
    here = Location("111122223333", "eu-west-1")
    spokes = Sandbox().spokes
    with pytest.raises(Busy), spokes.patience.watching(here):
        raise Busy("ask", "ReadTimeoutError", "nothing")
    with pytest.raises(PutOff):
        spokes.at(here)
    assert spokes.at(here, urgent=True).location == here
