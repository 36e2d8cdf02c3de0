"""The world as a whole: the same seed tells the same story, and its counters say what really happened."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from simulator.fleet import Behaviour, Organization
from simulator.wire import Wire
from tests.simulator.scene import ALPHA, BETA, FLEET, INSTANCE, IRELAND, LONDON, RUN, START, Scene, make_world

ROOT = Path(__file__).parents[2]


def story(seed: int) -> str:
    """Everything that can be seen of two executions, as one fingerprint."""
    world = make_world(seed=seed)
    with Wire(world) as wire:
        scene = Scene(world, wire)
        scene.keep("Fleet", FLEET)
        scene.keep("Instance", INSTANCE)
        scene.add(*Behaviour)
        scene.add(*Behaviour, account=BETA, region=LONDON)
        locations = scene.locations(ALPHA, BETA, Regions=[IRELAND, LONDON])
        seen = [scene.play(TargetLocations=locations), scene.finish(scene.start_each(TargetLocations=locations))]
        for execution in seen:
            execution.pop("ResponseMetadata", None)
        return sha256(repr((seen, world.effects, world.clock.now)).encode()).hexdigest()


def test_the_same_seed_tells_the_same_story_and_another_one_another() -> None:
    assert story(7) == story(7) != story(8)


def test_the_story_does_not_hang_on_how_python_hashes() -> None:
    code = "from tests.simulator.test_world import story; print(story(7))"
    told = {
        subprocess.run(  # noqa: S603 - our own interpreter, our own words
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT}:{ROOT}/layers/patchtide", "TZ": "UTC"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_one_more_question_changes_nothing_in_the_story() -> None:
    endings = []
    for curious in (False, True):
        world = make_world()
        with Wire(world) as wire:
            other = Scene(world, wire)
            other.keep("Fleet", FLEET)
            other.add(*[Behaviour.HEALTHY] * 5)
            if curious:
                other.client("sts").assume_role(
                    RoleArn=f"arn:aws:iam::{ALPHA}:role/AWS-SystemsManager-AutomationExecutionRole",
                    RoleSessionName="me",
                )
            endings.append(other.play()["ExecutionEndTime"])
    assert endings[0] == endings[1]


def test_ids_look_like_awss_and_follow_from_the_seed() -> None:
    ids = []
    for seed in (1, 1, 2):
        organization = Organization.build(seed=seed)
        node = organization.add_node(organization.accounts[organization.hub], "eu-west-1", "web")
        ids.append(node.id)
        assert node.id.startswith("i-0")
        assert len(node.id) == 19
        assert organization.root.id.startswith("r-")
    assert ids[0] == ids[1] != ids[2]


def test_every_delivery_is_in_the_log_with_its_run_and_root(scene: Scene) -> None:
    nodes = scene.add(*[Behaviour.HEALTHY] * 3)
    seen = scene.play()
    assert {delivery.node for delivery in scene.world.effects} == {node.id for node in nodes}
    for delivery in scene.world.effects:
        assert (delivery.run, delivery.root) == (RUN, seen["AutomationExecutionId"])
        assert (delivery.operation, delivery.account, delivery.region) == ("Install", ALPHA, IRELAND)
        assert START < delivery.at < START + timedelta(minutes=2)
    assert (scene.world.installs_delivered, scene.world.executions_started) == (3, 1)


def test_the_grandchildren_of_a_run_are_in_its_name_too(scene: Scene) -> None:
    scene.add(Behaviour.HEALTHY)
    root = scene.start_each()
    scene.finish(root)
    assert [(delivery.run, delivery.root) for delivery in scene.world.effects] == [(RUN, root)]


def test_two_installs_of_one_run_on_one_node_are_noticed(scene: Scene) -> None:
    (node,) = scene.add(Behaviour.HEALTHY)
    scene.play()
    assert scene.world.instances_installed_twice() == {}
    scene.play()
    assert scene.world.instances_installed_twice() == {RUN: (node.id,)}


def test_what_happens_outside_a_window_is_noticed(scene: Scene) -> None:
    scene.add(Behaviour.HEALTHY)
    scene.play()
    (delivery,) = scene.world.effects
    hour = timedelta(hours=1)
    assert scene.world.delivered_outside({RUN: (START, START + hour)}) == ()
    assert scene.world.delivered_outside({RUN: (START, delivery.at)}) == (delivery,)
    assert scene.world.delivered_outside({RUN: (START + hour, START + 2 * hour)}) == (delivery,)
    assert scene.world.delivered_outside({}) == ()


def test_nothing_was_started_where_no_command_was_sent(scene: Scene) -> None:
    here = scene.add(Behaviour.HEALTHY, Behaviour.NOT_MANAGED)
    scene.world.organization.accounts[ALPHA].roles.clear()
    scene.play()
    ids = [*(node.id for node in here), "i-0123456789abcdef0"]
    assert set(scene.world.ground_truth(RUN, ids).values()) == {"notStarted"}


def test_what_was_terminated_before_its_turn_was_not_started(scene: Scene) -> None:
    first, second = scene.add(Behaviour.DISK_FULL, Behaviour.HEALTHY)
    scene.play(parameters={"MaxConcurrency": ["1"], "MaxErrors": ["0"]})
    assert scene.world.ground_truth(RUN, [first.id, second.id]) == {first.id: "failed", second.id: "notStarted"}


@pytest.mark.parametrize("operation", ["Scan", "Install"])
def test_the_truth_of_every_behaviour_is_told(scene: Scene, operation: str) -> None:
    nodes = scene.add(*Behaviour)
    scene.play(parameters={"Operation": [operation]})
    truth = scene.world.ground_truth(RUN, [node.id for node in nodes])
    told = {node.behaviour: truth[node.id] for node in nodes}
    assert told[Behaviour.AGENT_OFFLINE] == told[Behaviour.NOT_MANAGED] == "unreachable"
    assert told[Behaviour.SENTINEL] == told[Behaviour.OVERWRITTEN] == "unverified"
    if operation == "Scan":
        assert told[Behaviour.DISK_FULL] == told[Behaviour.HEALTHY] == "nonCompliant"
    else:
        assert told[Behaviour.PENDING_REBOOT] == "pendingReboot"
        assert told[Behaviour.TERMINATED] == "gone"
        assert {told[one] for one in (Behaviour.HEALTHY, Behaviour.FALSE_FAILURE, Behaviour.SLOW_EVIDENCE)} == {
            "compliant"
        }


def test_the_clock_knows_of_nothing_once_everything_is_over(scene: Scene) -> None:
    scene.add(*[Behaviour.HEALTHY] * 3)
    scene.play()
    scene.wait(minutes=1)
    assert scene.world.clock.next_at() is None
