"""The numbers of a report are counted from rows, and every one of them adds up."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.core.compliance import Compliance, spoken
from patchtide.core.outcome import Cause, Outcome, Patch
from patchtide.core.report.figures import AGAINST, SHOWN, SHOWN_OF_CAUSE, Figures, compliant, differences


def row(
    outcome: Outcome, number: int = 1, cause: str = "", account: str = "111122223333", **more: object
) -> dict[str, str]:
    found = {
        "kind": "instance",
        "wave": "all",
        "account": account,
        "region": "eu-west-1",
        "instance": f"i-{number:08x}",
    }
    found |= {"outcome": outcome.value} | ({"cause": cause} if cause else {})
    return found | {name: str(value) for name, value in more.items()}


def figures(*rows: dict[str, str]) -> Figures:
    made = Figures()
    for one in rows:
        made.add(one)
    return made


def test_compliance_takes_active_exceptions_out_and_is_also_told_with_them() -> None:
    made = figures(
        row(Outcome.COMPLIANT, 1),
        row(Outcome.COMPLIANT, 2),
        row(Outcome.FAILED, 3, "DISK_FULL"),
        row(Outcome.EXCLUDED, 4, "EXCEPTED", sentence="excepted until 2027-01-01"),
        row(Outcome.EXCLUDED, 5, "HELD"),  # another run has it: that is no exception
    )
    total = made.total.compliance
    assert total == Compliance(expected=5, excepted=1, compliant=2)
    assert total.percent == 50.0
    assert total.raw_percent == 40.0
    assert made.exceptions == {"excepted until 2027-01-01": 1}


def test_nobody_asked_is_neither_all_nor_nothing() -> None:
    assert Compliance().percent is None
    assert Compliance(3, 3, 0).percent is None
    assert spoken(None) == "n/a"


@pytest.mark.parametrize(
    ("percent", "said"),
    [(100.0, "100%"), (0.0, "0%"), (99.99, ">99.9%"), (0.01, "<0.1%"), (93.42, "93.4%"), (50.0, "50%")],
)
def test_a_percentage_is_never_rounded_to_all_or_nothing(percent: float, said: str) -> None:
    assert spoken(percent) == said


@pytest.mark.parametrize("name", AGAINST)
def test_a_scan_that_found_anything_is_not_compliant(name: str) -> None:
    assert compliant(row(Outcome.SCANNED))
    assert not compliant(row(Outcome.SCANNED) | {name: "1"})


@given(st.lists(st.tuples(st.sampled_from(list(Outcome)), st.sampled_from(["1" * 12, "2" * 12, "3" * 12]))))
def test_accounts_and_outcomes_partition_the_expected_set(found: list[tuple[Outcome, str]]) -> None:
    made = figures(*(row(outcome, number, account=account) for number, (outcome, account) in enumerate(found)))
    assert made.total.expected == len(found) == sum(made.total.outcomes.values())
    assert sum(group.expected for _, group in made.by_account) == len(found)
    assert sum((group.compliance for _, group in made.by_account), Compliance()) == made.total.compliance
    assert made.total.outcomes == sum((group.outcomes for _, group in made.by_account), Counter())


def test_a_location_out_of_reach_is_counted_by_itself_and_named() -> None:
    made = Figures()
    where = {"kind": "location", "wave": "all", "account": "1" * 12, "accountName": "pay", "region": "eu-west-1"}
    made.add_location(where | {"cause": "", "sentence": ""})
    made.add_location(where | {"region": "eu-west-2", "cause": "ROLE_DENIED", "sentence": "cannot be assumed"})
    assert (made.total.locations, made.total.unreachable, made.total.expected) == (2, 1, 0)
    assert made.names == {"1" * 12: "pay"}
    (cause,) = made.by_cause
    assert (cause.cause, cause.locations, cause.instances) == (Cause.ROLE_DENIED, 1, 0)
    assert cause.fix


def test_what_is_kept_in_memory_does_not_grow_with_the_fleet() -> None:
    made = figures(*(row(Outcome.FAILED, n, "DISK_FULL", sentence=f"no space, {n}") for n in range(3 * SHOWN)))
    (cause,) = made.by_cause
    assert cause.instances == 3 * SHOWN
    assert len(cause.sentences) <= SHOWN_OF_CAUSE
    assert len(made.listed) == SHOWN_OF_CAUSE
    assert made.unlisted == 3 * SHOWN - SHOWN_OF_CAUSE


def test_what_is_worst_is_listed_first() -> None:
    made = figures(row(Outcome.EXCLUDED, 1, "EXCEPTED"), row(Outcome.PENDING_REBOOT, 2), row(Outcome.FAILED, 3, "REPO"))
    assert [one["outcome"] for one in made.listed] == ["failed", "pendingReboot", "excluded"]


def test_patches_are_counted_by_instances() -> None:
    made = Figures()
    kernel = Patch("kernel-6.1", severity="Critical", state="Missing")
    made.add_patches([kernel, Patch("curl", state="Failed")])
    made.add_patches([kernel])
    assert [(one.title, one.instances, dict(one.states)) for one in made.by_patch] == [
        ("kernel-6.1", 2, {"Missing": 2}),
        ("curl", 1, {"Failed": 1}),
    ]


def test_counters_that_say_something_else_than_the_rows_are_told() -> None:
    made = figures(row(Outcome.COMPLIANT, 1), row(Outcome.FAILED, 2, "REPO"))
    assert list(differences(made, {"all": (2, {"compliant": 1, "failed": 1})})) == []
    assert len(list(differences(made, {"all": (3, {"compliant": 1, "failed": 1, "gone": 1})}))) == 2
    assert len(list(differences(made, {"all": (2, {"compliant": 2})}))) == 1
