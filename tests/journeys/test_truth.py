"""What the report says of a run is what really became of every instance, whatever is the matter with the fleet."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from patchtide.core.causes import FIXES
from patchtide.core.outcome import Cause
from simulator.fleet import Behaviour
from simulator.proof.history import silent
from tests.journeys.fleets import Fleet, Told, fleet, outcomes, played, told, truth

SEEDS = 1000
SHARDS = 8


def _spoken(text: str) -> str:
    """A mail as one line, without its line breaks."""
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_report_of_a_fleet_is_the_truth_about_it(shard: int) -> None:
    planted: Counter[str] = Counter()
    with silent():
        for seed in range(shard, SEEDS, SHARDS):
            rng = random.Random(f"play {seed}")  # noqa: S311 - a story
            made = fleet(seed)
            history = played(made, rng)
            assert not history.failures, f"seed {seed}: {history.failures}"
            said = told(history)
            known = truth(made, history, said.read_at)
            _agrees_by_instance(seed, known, said)
            _agrees_in_numbers(seed, made, known, said)
            _explains(seed, made, known, said)
            planted.update(node.behaviour for node in made.expected)
    assert set(planted) >= set(Behaviour)  # every failure was there to be told


def _agrees_by_instance(seed: int, known: dict[str, tuple[str, str, bool]], said: Told) -> None:
    rows = {id_: row for id_, row in said.rows.items() if row["lateJoiner"] == "false"}
    for id_, (outcome, cause, compliant) in known.items():
        row = rows[id_]
        found = row["outcome"], row["cause"], row["compliant"] == "true"
        assert found == (outcome, cause, compliant), (
            f"seed {seed} {id_}: {found} is {(outcome, cause, compliant)}: {row['causeText']}"
        )
    assert set(rows) == set(known), f"seed {seed}"


def _agrees_in_numbers(seed: int, made: Fleet, known: dict[str, tuple[str, str, bool]], said: Told) -> None:
    total = said.report["compliance"]
    good = sum(compliant for _, _, compliant in known.values())
    spared = len(made.spared & set(known))
    assert (total["expected"], total["compliant"], total["excepted"]) == (len(known), good, spared), f"seed {seed}"
    assert total["outcomes"] == outcomes(known), f"seed {seed}"
    asked = len(known) - spared
    assert total["percent"] == (100 * good / asked if asked else None), f"seed {seed}"
    assert said.report["expectedInstances"] == len(known), f"seed {seed}"  # the counters say the same as the rows
    assert not [text for text in said.report["warnings"] if "do not add up" in text], f"seed {seed}"
    late = {row["instance"] for row in said.report["lateJoiners"]}
    assert late == {node.id for node in made.joiners}, f"seed {seed}"


def _explains(seed: int, made: Fleet, known: dict[str, tuple[str, str, bool]], said: Told) -> None:
    """Status, cause and fix of every planted failure are in the report and in the mail."""
    causes = Counter(cause for _, cause, _ in known.values() if cause)
    shown = {one["cause"]: one for one in said.report["causes"]}
    mail = _spoken(said.mail)
    for cause, count in causes.items():
        assert shown[cause]["instances"] == count, f"seed {seed} {cause}"
        assert shown[cause]["fix"] == FIXES[Cause(cause)], f"seed {seed} {cause}"
        if cause != Cause.EXCEPTED:
            assert _spoken(f"{count}x {cause} fix: {FIXES[Cause(cause)]}") in mail, f"seed {seed} {cause}: {said.mail}"
    denied = {(account.id, region) for account in made.denied for region in made.organization.regions}
    denied |= {(account.id, region) for account, region in made.disabled if account not in made.denied}
    denied = {place for place in denied if made.organization.accounts[place[0]].state == "ACTIVE"}
    unreached = {(row["account"], row["region"]) for row in said.report["locations"]["unreachable"]}
    assert unreached == denied, f"seed {seed}"
    for account, region in denied if known else ():
        assert f"{account} {region}" in mail, f"seed {seed}: {said.mail}"
