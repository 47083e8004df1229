"""How patient the tests' installations are."""

import dataclasses
from typing import Final

import pytest

from shared.messaging.topology import Timing

TIMING = Timing(ack_wait=2.0, lease_ttl=2.0)
"""Impatient, so that a redelivery or a take-over does not take half a minute."""

LONG_LEASES = dataclasses.replace(TIMING, lease_ttl=60.0)
"""Where a lease must not have to run out before it is free."""

PATIENT: Final = 20.0
"""Seconds that whoever asks NATS, the database or an API server waits for an answer: more than any of them takes on a busy
machine. A test that takes one of them away asks for less."""

BRIEF: Final = 4.0
"""Seconds for such a test: what is away is noticed soon, and what is back is not taken to be away still."""

takes_nats_away = pytest.mark.parametrize("nats_timeout", [BRIEF], ids=["away"])
