"""What can be said beside a request about a cluster, or about what is in one. Pure."""

from services.gateway.clusters.joining import Mode
from services.gateway.listing.filters import Nothing


class ForceQuery(Nothing):
    """Whether to remove something although others need it."""

    force: bool = False


class JoinQuery(Nothing):
    """Whether an executor at the hub serves the cluster, or an agent inside of it."""

    mode: Mode = "Hub"
