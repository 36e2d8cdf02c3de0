"""Metrics in CloudWatch's embedded format: a line in the log that costs no call. Their dimensions are a campaign or a state, never
an instance or a run: every combination is a metric that costs money each month."""

from __future__ import annotations

from collections.abc import Mapping

from patchtide.core.gate import ERRORS
from patchtide.core.run import Run

NAMESPACE = "Patchtide"


class Telemetry:
    """Metrics of runs that ended."""

    def ended(self, run: Run) -> None:
        """Note how a run ended: one of its state, and of its campaign how compliant its instances are and how many need a look."""
        _emit({"state": run.state.value}, {"RunsEnded": ("Count", 1)})
        expected = sum(wave.tally.instances for wave in run.waves)
        excepted = sum(wave.tally.excepted for wave in run.waves)
        if expected <= excepted:
            return
        compliant = sum(wave.tally.compliant for wave in run.waves)
        bad = sum(wave.tally.count(*ERRORS) for wave in run.waves)
        _emit(
            {"campaign": run.campaign},
            {
                "Compliance": ("Percent", 100 * compliant / (expected - excepted)),
                "InstancesExpected": ("Count", expected),
                "InstancesToLookAt": ("Count", bad),
            },
        )


def _emit(dimensions: Mapping[str, str], values: Mapping[str, tuple[str, float]]) -> None:
    from aws_lambda_powertools import Metrics  # few of the poller's minutes end a run

    metrics = Metrics(namespace=NAMESPACE, service="patchtide")
    for name, value in dimensions.items():
        metrics.add_dimension(name, value)
    for name, (unit, number) in values.items():
        metrics.add_metric(name, unit, number)
    metrics.flush_metrics()
    metrics.clear_metrics()  # what it holds belongs to all of them
