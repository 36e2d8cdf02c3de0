"""The picture and the tables of the docs are those of the record, and the record is of everything there is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from bench.__main__ import MEASURES
from bench.figures import said
from docs import growth
from patchtide.aws.spokes import MAX_CLIENTS
from patchtide.core.request import MAX_ACCOUNTS, MAX_ENTRIES
from patchtide.core.roster import MAX_PAGES
from patchtide.core.roster import PAGE as PAGE_OF_INSTANCES
from simulator.template import ROOT, load

PAGE = growth.PAGE.read_text(encoding="utf-8")


def test_the_picture_is_drawn_from_the_record() -> None:
    assert growth.PICTURE.read_text(encoding="utf-8") == growth.picture(growth.recorded()), "run `make pictures`"


def test_the_tables_are_those_of_the_record_and_of_the_price_list() -> None:
    assert growth.page(PAGE, growth.recorded()) == PAGE, "run `make pictures`"


def test_the_record_is_of_a_whole_measuring_and_every_control_in_it_was_red() -> None:
    record = json.loads(growth.RECORD.read_text(encoding="utf-8"))
    assert record["full"]
    assert set(record["figures"]) == set(MEASURES)
    assert record["controlsNotRed"] == []
    for one in growth.recorded():
        assert one.guarded, one.key


def test_another_record_is_another_picture_and_another_table() -> None:
    first, *others = growth.recorded()
    changed = [replace(first, value=first.value + 1, growth=replace(first.growth, points={20: 1, 200: 2})), *others]  # type: ignore[type-var]
    assert growth.picture(changed) != growth.picture(growth.recorded())
    assert growth.page(PAGE, changed) != PAGE


def test_a_page_without_its_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for month"):
        growth.page(PAGE.replace("<!-- month -->", ""), growth.recorded())


def test_every_growth_has_a_panel_with_all_of_its_numbers_inside() -> None:
    figures = [one for one in growth.recorded() if one.growth]
    drawn = ElementTree.fromstring(growth.picture(figures))  # noqa: S314 - our own words
    panels = drawn.findall("{*}g")
    assert len(panels) == len(figures) > 8
    for figure, panel in zip(figures, panels, strict=True):
        words = [text.text for text in panel.iter("{http://www.w3.org/2000/svg}text")]
        assert words[0] == figure.key
        assert figure.growth
        for size, value in figure.growth.points.items():
            assert said(size) in words
            assert said(value) in words
        for dot in panel.findall("{*}circle"):
            assert growth.LEFT <= float(dot.get("cx", 0)) <= growth.WIDTH - growth.RIGHT + 0.1
            assert growth.TOP <= float(dot.get("cy", 0)) <= growth.HEIGHT - growth.BOTTOM + 0.1


def test_the_limits_in_the_page_are_those_of_the_code_and_of_the_template() -> None:
    template = load(ROOT / "template.yaml")
    (event,) = template["Resources"]["CollectorFunction"]["Properties"]["Events"].values()
    at_once = event["Properties"]["ScalingConfig"]["MaximumConcurrency"]
    limits = re.findall(r"^\| (.+?) \| ", PAGE.partition("## The limits")[2].partition("## A month")[0], re.MULTILINE)
    assert f"{at_once} collectors at a time" in limits
    assert f"with {event['Properties']['BatchSize']} questions for each" in PAGE
    assert f"{PAGE_OF_INSTANCES} instances of a location at a time" in limits
    assert f"{MAX_ACCOUNTS * MAX_ENTRIES} accounts" in limits
    assert f"{MAX_PAGES * PAGE_OF_INSTANCES:,} instances in a location" in limits
    assert f"{template['Parameters']['RetentionDays']['Default']} days" in limits
    assert f"it keeps {MAX_CLIENTS} clients" in PAGE


def test_the_month_of_every_size_is_in_the_page() -> None:
    rows = re.findall(r"^\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| \$", PAGE, re.MULTILINE)
    assert [row[0] for row in rows] == ["10", "1,000", "10,000"]
    assert rows[1][1:] == ("100,000", "30,000")
