"""Filters, sorts and search of the list of schedules and of their slots, and how one is deleted. Pure."""

from typing import Annotated

from pydantic import Field

from services.gateway.listing.conditions import any_of
from services.gateway.listing.filters import FLEET, ListQuery, Moment, Nothing, PageQuery, Text, among, enum
from services.gateway.listing.queries import Listing
from shared.contracts.phases import ScheduleStatus
from shared.contracts.schedules import Decision

_STATUSES = tuple(status.value for status in ScheduleStatus if status is not ScheduleStatus.DELETED)
ShownSchedule = Annotated[str, among(_STATUSES), enum(_STATUSES)]
"""The status of a row that the list can show; to filter by another one is a mistake, not an empty list."""
MANAGERS = ("Leeward", "Velero")
Manager = Annotated[str, among(MANAGERS), enum(MANAGERS)]


class ScheduleQuery(ListQuery):
    """Filters of `GET /schedules`."""

    cluster: list[Text] = []
    status: list[ShownSchedule] = []
    storage_location: list[Text] = []
    managed_by: list[Manager] = []
    search: Text | None = None


class TickQuery(PageQuery):
    """Filters of `GET /schedules/{id}/ticks`: by decision, and of slots at or after `from` and not after `to`."""

    decision: list[Decision] = []
    from_: Annotated[Moment | None, Field(alias="from")] = None
    to: Moment | None = None


class DeletionQuery(Nothing):
    """How a schedule is deleted: with the backups that it made or without; by itself as its settings say."""

    delete_backups: bool | None = None


SCHEDULES = Listing(
    name="schedules",
    sorts={
        "name": "item.name",
        "createdAt": "item.createdAt",
        "cluster": "item.cluster",
        "status": "item.status",
        "nextRunAt": "item.nextRunAt",
        "lastBackupAt": "item.lastBackupAt",
    },
    default_sort="name",
    filters={
        **FLEET,
        "storage_location": any_of("item.storageLocation.name"),
        "managed_by": any_of("item.managedBy"),
    },
    ties=("item.name",),
)
