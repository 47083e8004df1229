"""How long to wait, so that many who wait for one thing do not come back as one."""

import random


def jittered(seconds: float) -> float:
    """Return the time give or take a fifth."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - not a secret
