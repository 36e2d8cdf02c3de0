"""A scene for each test, and other ones for tests that want the world otherwise.

What AWS answers is the same through every door, so the tests of it run over all three: in process, in memory, as a server.
A module that is about one door says so by naming it: `DOORS = ("wire",)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from simulator.memory import Memory
from simulator.server import answering
from simulator.wire import Wire
from simulator.world import Switches
from tests.simulator.scene import FLEET, INSTANCE, Scene, make_world

DOORS = ("wire", "memory", "server")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "door" in metafunc.fixturenames:
        metafunc.parametrize("door", getattr(metafunc.module, "DOORS", DOORS))


@pytest.fixture
def scene_with(door: str) -> Iterator[Callable[..., Scene]]:
    with ExitStack() as stack:

        def make(**switches: object) -> Scene:
            stack.close()  # one world at a time
            world = make_world(Switches(**switches))  # type: ignore[arg-type]
            scene = Scene(world)
            match door:
                case "wire":
                    scene.entered = stack.enter_context(Wire(world))
                case "memory":
                    scene.memory = Memory(world)
                case "server":
                    scene.url = stack.enter_context(answering(world))
            scene.keep("Fleet", FLEET)
            scene.keep("Instance", INSTANCE)
            return scene

        yield make


@pytest.fixture
def scene(scene_with: Callable[..., Scene]) -> Scene:
    return scene_with()
