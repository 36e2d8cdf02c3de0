"""When a wave came out well enough."""

from datetime import timedelta

import pytest

from patchtide.core.gate import Gate, allowed, compliance, errors, judge
from patchtide.core.tally import Tally


@pytest.mark.parametrize(
    ("limit", "size", "expected"),
    [
        ("0", 40, 0),
        ("3", 40, 3),
        ("2%", 40, 0),
        ("5%", 40, 2),
        ("10%", 50, 5),
        ("99%", 1, 0),
        ("100%", 7, 7),
        ("0%", 9, 0),
    ],
)
def test_a_limit_allows_whole_errors_only(limit: str, size: int, expected: int) -> None:
    assert allowed(limit, size) == expected


def test_the_error_after_the_last_allowed_one_closes_the_gate() -> None:
    def verdict(failed: int) -> str:
        return judge(Gate("5%"), Tally(instances=40, outcomes={"failed": failed, "compliant": 40 - failed})).answer

    assert [verdict(failed) for failed in (0, 2, 3)] == ["yes", "yes", "no"]


@pytest.mark.parametrize("outcome", ["failed", "unreachable", "unverified", "nonCompliant", "notStarted"])
def test_whatever_is_not_known_to_be_well_is_an_error(outcome: str) -> None:
    assert errors(Tally(instances=1, outcomes={outcome: 1})) == 1


@pytest.mark.parametrize("outcome", ["compliant", "scanned", "pendingReboot", "excluded", "gone"])
def test_what_is_well_or_not_ours_is_none(outcome: str) -> None:
    assert errors(Tally(instances=1, outcomes={outcome: 1})) == 0


def test_a_location_out_of_reach_is_an_error_however_few_instances_failed() -> None:
    verdict = judge(Gate("0"), Tally(unreachable=1, instances=3, outcomes={"compliant": 3}))
    assert (verdict.answer, verdict.reason) == ("no", "1 location out of reach; gate allows 0")


def test_compliance_is_of_all_that_were_expected() -> None:
    tally = Tally(instances=200, outcomes={"compliant": 190, "pendingReboot": 10})
    assert compliance(tally) == 95.0
    assert judge(Gate("0", min_compliance=95), tally)
    assert judge(Gate("0", min_compliance=95.5), tally).reason == "95.0% compliant, gate wants 95.5%"


def test_a_verdict_is_true_only_when_it_is_yes() -> None:
    assert not judge(Gate("0", soak=timedelta(0)), Tally(instances=1, outcomes={"failed": 1}))
