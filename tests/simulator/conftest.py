"""A scene for each test, and other ones for tests that want the world otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from simulator.wire import Wire
from simulator.world import Switches
from tests.simulator.scene import FLEET, INSTANCE, Scene, make_world


@pytest.fixture
def scene_with() -> Iterator[Callable[..., Scene]]:
    with ExitStack() as stack:

        def make(**switches: object) -> Scene:
            stack.close()  # one world at a time
            world = make_world(Switches(**switches))  # type: ignore[arg-type]
            scene = Scene(world, stack.enter_context(Wire(world)))
            scene.keep("Fleet", FLEET)
            scene.keep("Instance", INSTANCE)
            return scene

        yield make


@pytest.fixture
def scene(scene_with: Callable[..., Scene]) -> Scene:
    return scene_with()
