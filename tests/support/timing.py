"""How patient the tests' installations are."""

from shared.messaging.topology import Timing

TIMING = Timing(ack_wait=2.0, lease_ttl=2.0)
"""Impatient, so that a redelivery or a take-over does not take half a minute."""
