"""How much people are told at most: a mail is as long as its causes are many, not as its failures are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from bench.figures import Control, Figure, Growth, Target
from bench.world import BEGINS, Bench
from patchtide.aws.alerts import Alerts
from patchtide.core.alerts import EXAMPLES, MAX_CAUSES, Alert, Briefing, compose
from patchtide.core.outcome import Cause, Outcome
from patchtide.core.run import Run, Window
from patchtide.core.states import RunState, WaveState
from patchtide.core.tally import Tally
from patchtide.flow.poller import SLICED

HOUR = timedelta(hours=1)
LONGEST = 500  # characters of a sentence that a row keeps
OUT_OF_REACH = 20  # locations that a mail names
BAD = tuple(cause for cause in Cause if cause not in (Cause.NONE, Cause.EXCEPTED))
Row = Mapping[str, str]


def alert_bytes(bench: Bench) -> Figure:
    """alertBytes."""
    run = bench.play(bench.sizes[0]).dossier().run
    mails = {failures: _longest(run, failures) for failures in bench.scale.failures}
    most = max(mails)
    every = "\n".join(f"{row['account']} {row['region']} {row['instance']} {row['cause']}" for row in rows(most))
    return Figure(
        "alertBytes",
        f"bytes of the longest mail about {most:,} failures",
        f"UTF-8 of the body, of the kinds that tell of failures the longest, with all {len(BAD)} causes and {OUT_OF_REACH} locations out of reach, "
        f"each in a sentence of {LONGEST} characters",
        _size(mails[most]),
        Target("most", 32_768),
        Control("a line for each instance", len(every.encode())),
        Growth("failures", "bytes", "constant", {count: _size(mail) for count, mail in mails.items()}),
        {"snsMessage": len(published(mails[most]).encode()), "snsTakes": 262_144},
    )


def _size(mail: Alert) -> float:
    return len(mail.body.encode())


def _longest(run: Run, failures: int) -> Alert:
    """Of the mails that tell of failures, about a run with so many, the longest."""
    briefing = told_of(run, failures)
    name = run.waves[0].name
    return max((compose(kind, name, "", briefing) for kind in SLICED), key=_size)


def told_of(run: Run, failures: int) -> Briefing:
    """What a mail is made of when so many instances failed, each cause as often as another, and no location was spared."""
    tally = Tally(
        resolved=failures,
        unreachable=failures // 10,
        collected=failures,
        instances=failures,
        outcomes={outcome.value: failures // len(Outcome) for outcome in Outcome},
        causes={cause.value: max(1, failures // len(BAD)) for cause in BAD},
    )
    window = Window(BEGINS, BEGINS + 4 * HOUR, HOUR)
    wave = replace(run.waves[0], tally=tally, locations=failures, state=WaveState.SETTLED, window=window)
    examples = {cause.value: tuple(rows(EXAMPLES, cause)) for cause in BAD[:MAX_CAUSES]}
    out = tuple(row | {"instance": ""} for row in rows(OUT_OF_REACH, Cause.ROLE_DENIED))
    return Briefing(replace(run, waves=(wave,), state=RunState.FAILED), "Europe/London", examples, out)


def rows(count: int, cause: Cause = Cause.DISK_FULL) -> Iterator[dict[str, str]]:
    """The rows of so many instances, each with the longest sentence that is kept."""
    sentence = ("no space left on the disk, says the installer, and " * LONGEST)[:LONGEST]
    for number in range(count):
        yield {
            "account": f"{100_000_000_000 + number // 100}",
            "region": "eu-west-1",
            "instance": f"i-{number:017x}",
            "name": f"payments-{number:06d}",
            "cause": cause.value,
            "sentence": sentence,
        }


@dataclass
class _Topic:
    """An SNS client that keeps what it is given."""

    messages: list[str] = field(default_factory=list)

    def publish(self, **params: Any) -> None:
        """Publish."""
        self.messages.append(params["Message"])


def published(mail: Alert) -> str:
    """The message as SNS gets it, for people and for programs at once."""
    topic = _Topic()
    Alerts(topic, "alerts").publish(mail)  # type: ignore[arg-type]
    return topic.messages[0]


FIGURES: Mapping[str, Callable[[Bench], Figure]] = {"alertBytes": alert_bytes}
