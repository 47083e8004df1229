"""A random walk of schedulers through everything that can happen, in step with a model of what has to become of each slot."""

from datetime import timedelta

import pytest

from services.scheduler import deciding
from tests.support.scheduler_walk import Walk, seeded, steps

pytestmark = pytest.mark.thorough


async def test_a_random_walk_ends_in_the_ticks_of_the_model(monkeypatch):
    monkeypatch.setattr(deciding, "_LONG", timedelta(days=10_000))  # threads are not in the hands of the stage
    walk, count = Walk(seeded()), steps(10_000)
    await walk.steps_on(count)
    await walk.end()
    walk.judged()
    assert count < 10_000 or len(walk.world.ticks) > 20
