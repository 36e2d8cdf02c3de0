"""The examples in docs are campaigns, and mean what their comments say."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic.alias_generators import to_camel

from cli.files import load
from patchtide.core.document import (
    SERVICE_FIELDS,
    CampaignDocument,
    ExceptionDocument,
    GateDocument,
    WaveDocument,
    read,
)
from simulator.template import ROOT

EXAMPLES = sorted((ROOT / "docs/examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid(path: Path) -> None:
    reading = read(load(path), now=datetime(2026, 11, 25, tzinfo=UTC))
    assert not reading.problems


def test_the_rings_come_on_the_days_that_they_say() -> None:
    campaign = read(load(ROOT / "docs/examples/prod-rings.yaml")).valid()
    assert campaign.schedule
    assert campaign.schedule.offset == 1
    assert [wave.delay for wave in campaign.waves] == [0, 3, 9]
    assert [wave.approval for wave in campaign.waves] == [False, False, True]
    assert [str(freeze) for freeze in campaign.freezes] == ["2026-12-24 to 2027-01-03"]
    assert campaign.freeze_files == ("calendars/launches.ics",)


def test_every_field_has_a_line_in_the_reference() -> None:
    text = (ROOT / "docs/campaigns.md").read_text(encoding="utf-8")
    models = (CampaignDocument, WaveDocument, GateDocument, ExceptionDocument)
    fields = [to_camel(name) for model in models for name in model.model_fields]
    missing = [name for name in (*fields, *SERVICE_FIELDS) if f"`{name}`" not in text]
    assert not missing
