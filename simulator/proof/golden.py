"""Runs under way, as a version of the service left them in its tables: a later version must bring them to their end.

python -m simulator.proof.golden 0.1.0        writes tests/golden/0.1.0.json, once, when a version is released
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from simulator.memory import Message
from simulator.proof import scenarios
from simulator.proof.explore import apply
from simulator.proof.history import Effect, History, Scenario, silent
from simulator.protocol import Caller

FOLDER = Path(__file__).resolve().parents[2] / "tests/golden"


def moments(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """What there is after each minute of the undisturbed history: the tables, the queue, and what was done to the world."""
    history = History(scenario, cold=True)
    while history.step():
        yield {
            "at": history.now.isoformat(),
            "acted": history.acted,
            "effects": [_effect(one) for one in history.effects],
            "messages": [one.body for one in history.memory.messages],
            "mails": [mail.attributes["id"] for mail in history.memory.mails],
            "tables": {
                name: [dict(item) for _, item in sorted(table.items.items())]
                for name, table in history.memory.tables.tables.items()
            },
        }


def _effect(effect: Effect) -> dict[str, Any]:
    caller = effect.caller
    return {
        "at": effect.at.isoformat(),
        "operation": effect.operation,
        "params": effect.params,
        "caller": [caller.account, caller.region, caller.arn],
    }


def resumed(scenario: Scenario, moment: Mapping[str, Any]) -> History:
    """The history from that moment on, in a world to which the same was done."""
    history = History(scenario, cold=True)
    for said in moment["effects"]:
        effect = Effect(
            datetime.fromisoformat(said["at"]), "ssm", said["operation"], said["params"], Caller(*said["caller"])
        )
        history.world.clock.advance_to(effect.at)
        apply(history.world, effect)
        history.effects.append(effect)
    history.world.clock.advance_to(datetime.fromisoformat(moment["at"]))
    for name, items in moment["tables"].items():
        table = history.memory.tables.tables[name]
        for item in items:
            table.put(table.key_of(item), item)
    history.streamed = len(history.memory.tables.tables["CampaignsTable"].changed)
    history.memory.messages.extend(Message(body, history.now) for body in moment["messages"])
    history.acted = moment["acted"]
    return history


def read(path: Path) -> list[dict[str, Any]]:
    """The moments that a version left."""
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal, parse_int=Decimal)
    return [one | {"acted": int(one["acted"])} for one in found]


def main() -> None:
    """Write what this version leaves."""
    with silent():
        found = list(moments(scenarios.reference()))[::3]
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(found, separators=(",", ":"), default=lambda value: int(value))
    (FOLDER / f"{sys.argv[1]}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
