"""A measuring at the smallest sizes, shared: what was played once is not played again."""

from __future__ import annotations

import pytest

from bench.world import TINY, Bench


@pytest.fixture(scope="session")
def bench() -> Bench:
    """It."""
    return Bench(TINY)
