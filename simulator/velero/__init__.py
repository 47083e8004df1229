"""Velero in one process, on the objects of a simulated cluster and the buckets of a simulated cloud. Start at `server`."""

from simulator.velero.controller import Change, Controller
from simulator.velero.faults import Faults, Flaw
from simulator.velero.server import Velero
from simulator.velero.settings import Settings

__all__ = ["Change", "Controller", "Faults", "Flaw", "Settings", "Velero"]
