"""The Secrets in which Velero finds a credential. They are made and removed, and never looked at, nor changed.

Each is made by one operation and named by it. What the API server says about one is not repeated: a webhook's answer may show
what it was given.
"""

import asyncio
from collections.abc import Iterable

from services.executor.kube import (
    LOCATIONS,
    SECRETS,
    SNAPSHOT_LOCATIONS,
    AlreadyExistsError,
    GoneError,
    InternalError,
    Kind,
    Kube,
    KubeError,
    NotFoundError,
    Object,
)
from services.executor.locations.judging import uses


async def write(kube: Kube, body: Object) -> bool:
    """Have this Secret there, and tell whether it is new; an older one is what the same operation made of the same credential.

    Raises Unavailable; KubeError without the words of the API server.
    """
    name = str(body["metadata"]["name"])
    try:
        await kube.create(SECRETS, body)
    except AlreadyExistsError:
        return False
    except (NotFoundError, GoneError, InternalError):
        raise GoneError(f"Secret {name} could not be written") from None
    except KubeError as no:
        raise type(no)(f"Secret {name} cannot be written: see to the rights in deploy/rbac/executor.yaml") from None
    return True


async def discard(kube: Kube, names: Iterable[str]) -> None:
    """Remove those of the Secrets from which no location takes its credential; they may be gone already.

    Raises Unavailable or KubeError.
    """
    if not (unsure := list(names)):
        return
    listed = await asyncio.gather(*(_all(kube, kind) for kind in (LOCATIONS, SNAPSHOT_LOCATIONS)))
    for name in unsure:
        if not any(uses(location, name) for some in listed for location in some):
            await kube.delete(SECRETS, name)


async def _all(kube: Kube, kind: Kind) -> list[Object]:
    try:
        return (await kube.list(kind)).items
    except NotFoundError:  # Velero has been removed, and its locations with it
        return []
