"""Which occurrence comes next, through edits, pauses and deletions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from patchtide.core.campaign import Campaign
from patchtide.core.document import read
from patchtide.core.registration import accept, caught_up, claimed, digest, retired
from patchtide.core.run import APPROVAL_LEAD, PREPARE_LEAD

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
NIGHTLY: dict[str, Any] = {
    "campaign": "nightly",
    "schedule": "cron(0 22 * * ? *)",
    "duration": 4,
    "accounts": "111122223333",
    "regions": "eu-west-1",
    "targets": "tag:PatchGroup=dev",
}
TONIGHT = datetime(2026, 11, 24, 22, tzinfo=UTC)


def campaign(**changes: object) -> Campaign:
    return read({name: value for name, value in (NIGHTLY | changes).items() if value is not None}).valid()


ADHOC = campaign(schedule=None)


def test_a_new_campaign_is_due_at_its_next_occurrence_and_opened_a_little_before() -> None:
    held = accept(None, campaign(), "a", NOW)
    assert (held.version, held.next_at) == (1, TONIGHT)
    assert held.due_at == TONIGHT - PREPARE_LEAD


def test_a_campaign_without_a_schedule_is_due_at_once_and_once() -> None:
    held = accept(None, ADHOC, "a", NOW)
    assert held.due_at == NOW
    ran = claimed(held, ADHOC)
    assert ran.next_at is None
    assert accept(ran, replace(ADHOC, description="edited"), "b", NOW).next_at is None


def test_an_item_put_anew_after_deletion_runs_again() -> None:
    gone = retired(claimed(accept(None, ADHOC, "a", NOW), ADHOC))
    later = NOW + timedelta(days=1)
    again = accept(gone, ADHOC, "a", later)
    assert (again.version, again.next_at) == (2, later)


def test_an_occurrence_is_not_claimed_again_in_the_next_life_of_its_item() -> None:
    held = claimed(accept(None, campaign(), "a", NOW), campaign())
    early = TONIGHT - timedelta(minutes=10)
    assert accept(retired(held), campaign(), "a", early).next_at == TONIGHT + timedelta(days=1)
    ran = claimed(accept(None, ADHOC, "a", NOW), ADHOC)
    assert accept(retired(ran), ADHOC, "a", NOW).next_at == NOW + timedelta(seconds=1)


def test_a_campaign_that_lost_its_schedule_is_not_run_at_once() -> None:
    assert accept(accept(None, campaign(), "a", NOW), ADHOC, "b", NOW).next_at is None


def test_an_edit_does_not_lose_the_occurrence_that_is_due() -> None:
    held = accept(None, campaign(), "a", NOW)
    assert accept(held, campaign(owner="x"), "b", TONIGHT).next_at == TONIGHT


def test_an_edit_does_not_repeat_the_occurrence_that_was_claimed() -> None:
    held = claimed(accept(None, campaign(), "a", NOW), campaign())
    early = TONIGHT - timedelta(minutes=10)
    assert accept(held, campaign(owner="x"), "b", early).next_at == TONIGHT + timedelta(days=1)


def test_a_disabled_campaign_is_due_at_nothing_until_it_is_enabled() -> None:
    held = accept(accept(None, campaign(), "a", NOW), campaign(state="DISABLED"), "b", NOW)
    assert held.due_at is None
    assert accept(held, campaign(), "a", NOW).next_at == TONIGHT


def test_a_schedule_that_is_over_has_no_next_occurrence() -> None:
    assert accept(None, campaign(schedule="at(2020-01-01T00:00:00)"), "a", NOW).next_at is None


def test_the_fingerprint_is_of_the_content_alone() -> None:
    assert digest({"a": {"x", "y"}, "b": 1}) == digest({"b": 1, "a": {"y", "x"}})
    assert digest({"a": 1}) != digest({"a": 2})


def test_a_campaign_that_people_approve_is_opened_a_day_before() -> None:
    held = accept(None, campaign(approval="required", schedule="cron(0 22 ? * SAT *)"), "a", NOW)
    assert held.next_at
    assert held.due_at == held.next_at - APPROVAL_LEAD


def test_but_never_before_the_occurrence_before_it() -> None:
    twice = campaign(approval="required", schedule="rate(12 hours)", duration=1, cutoff=0)
    held = claimed(accept(None, twice, "a", NOW), twice)
    assert (held.last_at, held.next_at) == (NOW + timedelta(hours=12), NOW + timedelta(hours=24))
    assert held.due_at == held.last_at


def test_occurrences_that_nobody_opened_are_counted_and_the_last_is_left() -> None:
    held = accept(None, campaign(), "a", NOW)
    assert caught_up(held, campaign(), TONIGHT + timedelta(hours=2)) == (held, 0)
    assert caught_up(held, campaign(), TONIGHT + timedelta(hours=5)) == (held, 0)
    left, missed = caught_up(held, campaign(), TONIGHT + timedelta(days=3, hours=1))
    assert (left.next_at, left.last_at, missed) == (TONIGHT + timedelta(days=3), TONIGHT + timedelta(days=2), 3)


def test_a_registration_knows_whether_it_may_start_anything() -> None:
    held = accept(None, campaign(), "a", NOW)
    assert held.active
    assert not accept(held, campaign(state="DISABLED"), "b", NOW).active
    assert not retired(held).active
