"""A pretend fleet is what a campaign asks for, or what a file says, and what is wrong with a file is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from simulator.fleet import Behaviour
from simulator.pretend import ONLY, Fleet, made_up, organization, read_fleet, troubled
from tests.simulator.test_rehearsal import RINGS, campaign_of, played, single

# --- a fleet that is made up --------------------------------------------------------------------------------------------


def test_servers_named_by_their_ids_are_just_these() -> None:
    ids = ["i-0123456789abcdef0", "i-0123456789abcdef1", "mi-0123456789abcdef2"]
    document = {**RINGS, "targets": f"InstanceIds={','.join(ids)}"}
    fleet = made_up(campaign_of(document), 5)
    assert sorted(server.id for server in fleet.servers) == sorted(ids)
    assert len({(server.account, server.region) for server in fleet.servers}) == 3
    told = played({**single(), "targets": f"InstanceIds={','.join(ids)}"})
    assert (told.state, told.installs) == ("succeeded", 3)


def test_a_wave_may_name_servers_by_their_ids() -> None:
    waves = [{"name": "canary", "targets": "InstanceIds=i-0123456789abcdef0"}, {"name": "rest"}]
    told = played({**single(), "waves": waves})
    assert [wave.expected for wave in told.waves] == [1, 5]


def test_resource_groups_are_there() -> None:
    waves = [{"name": "late", "targets": "ResourceGroup=Late"}, {"name": "rest"}]
    told = played({**single(targets="ResourceGroup=Windows-Servers"), "waves": waves})
    assert told.state == "succeeded"
    assert [wave.expected for wave in told.waves] == [1, 4]
    fleet = made_up(campaign_of(single(targets="ResourceGroup=Windows-Servers")), 5)
    assert {server.platform for server in fleet.servers} == {"Windows"}


def test_everything_left_is_not_what_an_earlier_wave_had() -> None:
    waves = [{"name": "canary", "targets": "tag:PatchGroup=a"}, {"name": "rest"}]
    fleet = made_up(campaign_of({**single(targets="tag:PatchGroup=a,b"), "waves": waves}), 8)
    assert Counter(server.tags["PatchGroup"] for server in fleet.servers) == {"a": 2, "b": 6}


def test_a_wave_is_not_larger_than_it_may_be() -> None:
    document = {**RINGS, "waves": [{**RINGS["waves"][0], "maxInstances": 3}, *RINGS["waves"][1:]]}
    fleet = made_up(campaign_of(document), 50)
    assert sum(server.tags.get("Ring") == "0" for server in fleet.servers) == 3


def test_there_is_a_server_for_each_wave() -> None:
    waves = [{"name": f"wave-{ring}", "targets": f"tag:Ring={ring}"} for ring in range(6)]
    fleet = made_up(campaign_of({**single(), "waves": waves}), 1)
    assert {server.tags["Ring"] for server in fleet.servers} == set("012345")


def test_units_of_waves_are_below_the_campaigns() -> None:
    waves = [{"name": "one", "accounts": ["ou-ab12-canaryxx"]}, {"name": "two"}]
    document = {**RINGS, "accounts": ["r-ab12"], "excludeAccounts": ["ou-ab12-excluded"], "waves": waves}
    told = played(document)
    assert told.state == "succeeded"
    assert [wave.locations for wave in told.waves] == [3 * 2, 6 * 2]
    assert any("the management account" in note for note in told.notes)


def test_accounts_named_by_ids_are_dealt_to_the_units_of_waves() -> None:
    waves = [{"name": "one", "accounts": ["ou-ab12-canaryxx"]}, {"name": "two"}]
    document = {**single(), "accounts": ["111122223333", "444455556666"], "waves": waves}
    assert played(document).state == "succeeded"


def test_the_hubs_own_account_can_be_patched() -> None:
    told = played({**RINGS, "accounts": ["999900001111"], "regions": ["eu-west-1", "us-east-1"]})
    assert (told.state, told.waves[0].out_of_reach) == ("succeeded", 0)


def test_an_exception_spares_somebody() -> None:
    exception = {"targets": "tag:Legacy=yes", "reason": "old", "approvedBy": "jane", "expires": "2099-12-31"}
    told = played({**single(), "exceptions": [exception]})
    assert told.waves[0].outcomes == {"compliant": 4, "excluded": 1}
    assert told.waves[0].causes == {"EXCEPTED": 1}


def test_the_failure_rate_is_the_share_of_those_that_something_is_the_matter_with() -> None:
    fleet = made_up(campaign_of(RINGS), 5)
    bad = [one for one in troubled(fleet, 30, 7).servers if one.behaviour is not Behaviour.HEALTHY]
    assert len(bad) == 12  # of the 40 that are not excluded
    assert troubled(fleet, 30, 7) == troubled(fleet, 30, 7) != troubled(fleet, 30, 8)
    assert not any(one.account == "777788889999" for one in bad)


def test_every_behaviour_befalls_somebody_and_only_who_can_have_it() -> None:
    fleet = made_up(campaign_of(RINGS), 500)
    windows = replace(fleet, servers=tuple(replace(one, platform="Windows") for one in fleet.servers))
    found = [one for made in (fleet, windows) for one in troubled(made, 100, 1).servers if not one.settled]
    assert {one.behaviour for one in found} == set(Behaviour) - {Behaviour.HEALTHY}
    assert all(ONLY.get(one.behaviour, one.platform) == one.platform for one in found)


# --- a fleet from a file ------------------------------------------------------------------------------------------------


FILE: dict[str, Any] = {
    "groups": {"Web": {"Tier": "web"}},
    "accounts": [
        {
            "name": "payments",
            "id": "111122223333",
            "unit": "ou-ab12-prodprod/ou-ab12-payments",
            "instances": [
                {"count": 2, "tags": {"PatchGroup": "prod", "Ring": 0}},
                {"count": 4, "tags": {"PatchGroup": "prod", "Ring": "1"}, "behaviours": {"disk-full": 1}},
                {"count": 10, "tags": {"PatchGroup": "prod", "Ring": 2}, "failureRate": "20%"},
            ],
        },
        {
            "id": "444455556666",
            "regions": ["eu-west-1"],
            "instances": [{"ids": ["i-0123456789abcdef0"], "tags": {"PatchGroup": "prod", "Ring": 3}}],
        },
    ],
}


def fleet_of(raw: Mapping[str, Any], document: Mapping[str, Any] = RINGS) -> Fleet:
    fleet, problems = read_fleet(raw, campaign_of(document))
    assert fleet, problems
    return fleet


def test_a_file_says_who_is_there() -> None:
    fleet = fleet_of(FILE)
    made = organization(troubled(fleet, 0, 1), campaign_of(RINGS), 1)
    assert [account.name for account in made.below("ou-ab12-prodprod")] == ["payments"]
    assert made.accounts["444455556666"].regions == {"eu-west-1"}
    assert len(made.nodes) == 2 * 16 + 1
    assert made.nodes["i-0123456789abcdef0"].tags == {"Name": "account-6666-01", "PatchGroup": "prod", "Ring": "3"}
    behaviours = Counter(node.behaviour for node in made.nodes.values() if node.tags["Ring"] == "1")
    assert behaviours == {Behaviour.HEALTHY: 6, Behaviour.DISK_FULL: 2}
    bad = [n for n in made.nodes.values() if n.tags["Ring"] == "2" and n.behaviour is not Behaviour.HEALTHY]
    assert len(bad) == 4


def test_a_file_is_played() -> None:
    told = played({**RINGS, "waves": [{**wave, "gate": {"maxErrors": 9}} for wave in RINGS["waves"]]}, fleet_of(FILE))
    assert [wave.expected for wave in told.waves] == [4, 8, 21]
    assert told.waves[1].outcomes == {"compliant": 6, "failed": 2}
    assert told.waves[1].causes == {"DISK_FULL": 2}
    assert told.state == "failed"
    assert not told.fleet.made_up


def test_an_account_that_was_forgotten_is_out_of_reach() -> None:
    first, second = FILE["accounts"]
    told = played(RINGS, fleet_of({**FILE, "accounts": [first, {**second, "onboarded": False}]}))
    assert told.state == "halted"
    assert told.waves[0].out_of_reach == 2
    assert "2 locations out of reach" in told.waves[0].gate


def test_what_the_campaign_names_and_the_fleet_has_not_is_said() -> None:
    told = played(RINGS, fleet_of({**FILE, "accounts": FILE["accounts"][:1]}))
    assert "the fleet has nothing in 444455556666, which the campaign names." in told.notes


def test_a_groups_members_are_those_with_its_tags() -> None:
    document = single(targets="ResourceGroup=Web")
    instances = [{"count": 3, "tags": {"Tier": "web"}}, {"count": 4, "tags": {"Tier": "db"}}]
    fleet = fleet_of({**FILE, "accounts": [{"id": "444455556666", "instances": instances}]}, document)
    assert played(document, fleet).waves[0].expected == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"regons": ["eu-west-1"]}, "regons: is not a field here, it says ['eu-west-1']. Did you mean 'regions'?"),
        ({"accounts": []}, "accounts: [] is not allowed. List at least one"),
        (
            {"accounts": [{"id": 111122223333}]},
            'accounts[0].id: 111122223333 is a number. Quote it: "111122223333", leading zeros may be lost',
        ),
        ({"accounts": [{}]}, 'accounts[0].id: is required. Write 12 digits in quotes, e.g. "111122223333"'),
        (
            {"accounts": [{"id": "111122223333", "unit": "prod"}]},
            "accounts[0].unit: 'prod' is not a unit. Write ou-…, or the units from the top down: ou-…/ou-…",
        ),
        (
            {"accounts": ["111122223333"]},
            "accounts[0]: '111122223333' is not allowed. Write fields with their values: "
            "id, name, unit, regions, onboarded, instances",
        ),
        ({"accounts": [FILE["accounts"][1]] * 2}, "accounts[1].id: '444455556666' is given twice. Keep one of the two"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_field_value_and_fix(change: Mapping[str, Any], said: str) -> None:
    fleet, problems = read_fleet({**FILE, **change}, campaign_of(RINGS))
    assert fleet is None
    assert said in [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("instances", "said"),
    [
        ({"count": 0}, "count: 0 is not allowed. Write a whole number from 1 to 10000"),
        ({"count": "many"}, "count: 'many' is not allowed. Write a whole number from 1 to 10000"),
        ({"cout": 3}, "cout: is not a field here, it says 3. Did you mean 'count'?"),
        ({"platform": "Mac"}, "platform: 'Mac' is not allowed. Write 'Linux' or 'Windows'"),
        ({"tags": {"Hot": True}}, 'tags.Hot: True is not text. Quote it: "true"'),
        ({"tags": ["Hot"]}, "tags: ['Hot'] is not allowed. Write names with values, e.g. {PatchGroup: prod}"),
        (
            {"behaviours": {"disk-ful": 1}},
            "behaviours.disk-ful: 'disk-ful' is not a behaviour. Did you mean 'disk-full'?",
        ),
        (
            {"behaviours": {"disk-full": 2}},
            "behaviours: 2 behave in some way, count is 1. Raise count to 2, or give fewer",
        ),
        (
            {"failureRate": "200%"},
            "failureRate: '200%' is not a percentage. Write 0% to 100%, with at most three decimals",
        ),
        ({"ids": ["i-1"]}, "ids[0]: 'i-1' is not an instance id. Write i-… or mi-… with 17 hex digits"),
        (
            {"ids": ["i-0123456789abcdef0"]},
            "ids: 'i-0123456789abcdef0' cannot be in several Regions. Say in which Region they are: regions: [eu-west-1]",
        ),
        (
            {"regions": ["us-east-1"]},
            "regions: 'us-east-1' is not one of the account's, eu-west-1, eu-west-2. Add it to the account's regions",
        ),
    ],
)
def test_what_is_wrong_with_its_instances_is_told_too(instances: Mapping[str, Any], said: str) -> None:
    raw = {"accounts": [{"id": "111122223333", "instances": [instances]}]}
    fleet, problems = read_fleet(raw, campaign_of(RINGS))
    assert fleet is None
    assert [str(problem) for problem in problems] == [f"accounts[0].instances[0].{said}"]


def test_a_group_that_the_campaign_targets_must_be_there() -> None:
    fleet, problems = read_fleet({**FILE, "groups": {}}, campaign_of(single(targets="ResourceGroup=Web")))
    assert fleet is None
    assert [str(problem) for problem in problems] == [
        "groups: has no 'Web', which the campaign targets. Add it: groups: {Web: {Tag: value}}"
    ]
