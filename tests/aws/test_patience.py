"""Who does not answer is left alone for a while, and nobody else is."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from patchtide.aws.patience import LONGEST, SHORTEST, Patience
from patchtide.core.errors import Busy, PutOff, Refused
from patchtide.core.location import Location

HERE, NEXT_DOOR, ELSEWHERE = (
    Location("111122223333", "eu-west-1"),
    Location("444455556666", "eu-west-1"),
    Location("111122223333", "eu-west-2"),
)


class Hands:
    def __init__(self) -> None:
        self.now = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
        self.patience = Patience(lambda: self.now)

    def ask(self, location: Location, code: str = "") -> bool:
        """Whether it was asked at all."""
        try:
            self.patience.check(location)
            with suppress(Busy), self.patience.watching(location):
                _say(code)
        except PutOff:
            return False
        return True


def _say(code: str) -> None:
    if code:
        raise Busy("ask", code, "said nothing")


@pytest.fixture
def hands() -> Hands:
    return Hands()


def test_a_region_that_is_silent_is_left_alone_in_every_account(hands: Hands) -> None:
    assert hands.ask(HERE, "ReadTimeoutError")
    assert [hands.ask(one) for one in (HERE, NEXT_DOOR, ELSEWHERE)] == [False, False, True]


def test_a_location_that_throttles_is_left_alone_by_itself(hands: Hands) -> None:
    assert hands.ask(HERE, "ThrottlingException")
    assert [hands.ask(one) for one in (HERE, NEXT_DOOR, ELSEWHERE)] == [False, True, True]


def test_after_a_while_one_question_finds_out_and_each_time_it_is_twice_as_long(hands: Hands) -> None:
    spell, waited = SHORTEST, []
    for _ in range(6):
        assert hands.ask(HERE, "ConnectTimeoutError")
        hands.now += spell - timedelta(seconds=1)
        assert not hands.ask(HERE)
        hands.now += timedelta(seconds=1)
        waited.append(spell // timedelta(minutes=1))
        spell = min(spell * 2, LONGEST)
    assert waited == [1, 2, 4, 8, 10, 10]


def test_an_answer_is_believed_for_all_of_the_region(hands: Hands) -> None:
    hands.ask(HERE, "ReadTimeoutError")
    hands.now += SHORTEST
    assert hands.ask(NEXT_DOOR)
    assert hands.ask(HERE, "ReadTimeoutError")
    hands.now += SHORTEST  # a new spell, so it is as short as the first
    assert hands.ask(HERE)


def test_who_says_no_has_answered(hands: Hands) -> None:
    with pytest.raises(Refused), hands.patience.watching(HERE):
        raise Refused("ask", "AccessDeniedException", "no")
    assert hands.ask(HERE)


def test_who_is_put_off_is_told_whom_that_spares_until_when_and_why(hands: Hands) -> None:
    hands.ask(HERE, "ReadTimeoutError")
    with pytest.raises(PutOff, match="eu-west-1 is left alone until 09:01:00: said nothing"):
        hands.patience.check(HERE)
