"""What people can say of a list: values that are checked, queries that share them, and the conditions that they mean. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from services.gateway.listing.conditions import Condition, any_of, one_of
from shared.contracts.backupspec import Labels
from shared.contracts.phases import Outcome

_SUBSTRING_FROM = 3


def _in_range(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is out of range") from error


Text = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f]*$")]
Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]


def among(known: Sequence[str]) -> AfterValidator:
    """Return what refuses any other value."""

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return value

    return AfterValidator(check)


def enum(known: Sequence[str]) -> WithJsonSchema:
    """Return what the API's document says of such a value."""
    return WithJsonSchema({"type": "string", "enum": list(known)})


def _label_wish(value: str) -> str:
    """Return `key=value` or `key`; one that no label can be would find nothing, as if there were nothing."""
    key, _, wanted = value.partition("=")
    try:
        _LABELS.validate_python({key: wanted})
    except ValidationError:
        raise ValueError(f"{value!r} is not a label such as team=shop, or team") from None
    return value


_LABELS = TypeAdapter(Labels)
LabelWish = Annotated[Text, AfterValidator(_label_wish)]


class Nothing(BaseModel):
    """The query of an address that has no parameters."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, frozen=True)


class PageQuery(Nothing):
    """How much of a list, from where."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50
    cursor: Annotated[str, StringConstraints(max_length=8192)] | None = None


class ListQuery(PageQuery):
    """A list that can be sorted: comma-separated names, `-` in front for descending."""

    sort: Annotated[str, StringConstraints(max_length=256)] | None = None


class MadeQuery(ListQuery):
    """Filters of what is asked for and made: a repeated one means or, different ones mean and."""

    cluster: list[Text] = []
    outcome: list[Outcome] = []
    created_by: list[Text] = []
    schedule: list[Text] = []
    label: list[LabelWish] = []
    search: Text | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None


def by_label(values: Sequence[str]) -> list[Condition]:
    """Filter by `key=value`, or by `key` for any value."""
    pairs = (value.partition("=") for value in values)
    return [{"item.labels": {"$elemMatch": {"k": key, "v": wanted} if equals else {"k": key}}} for key, equals, wanted in pairs]


CREATOR_KINDS = ("User", "Schedule", "External")


def by_creator(values: Sequence[str]) -> list[Condition]:
    """Filter by a kind (`Schedule`), a name (`anna`), or both (`User/anna`)."""
    kinds = [value for value in values if value in CREATOR_KINDS]
    both = [(kind, name) for kind, slash, name in (value.partition("/") for value in values) if slash and kind in CREATOR_KINDS]
    names = [value for value in values if value.partition("/")[0] not in CREATOR_KINDS]
    return [
        *([{_KIND: one_of(kinds)}] if kinds else []),
        *([{_NAME: one_of(names)}] if names else []),
        *({_NAME: name, _KIND: kind} for kind, name in dict.fromkeys(both)),
    ]


_KIND, _NAME = "item.createdBy.kind", "item.createdBy.name"


def by_schedule(values: Sequence[str]) -> list[Condition]:
    """Filter by a schedule's id or name."""
    return [{"item.schedule.id": one_of(values)}, {"item.schedule.name": one_of(values)}]


def by_name(text: str) -> list[Condition]:
    """Search the name: a substring from three characters, a prefix below. Kubernetes names are lower case, always."""
    pattern = re.escape(text.lower())
    return [{"item.name": {"$regex": pattern if len(text) >= _SUBSTRING_FROM else f"^{pattern}"}}]


Filters = Mapping[str, Callable[[Any], Sequence[Condition]]]
"""By parameter: the conditions of which one must hold."""

FLEET: Final[Filters] = {"cluster": any_of("item.cluster"), "status": any_of("item.status"), "search": by_name}
"""What every list of the fleet can be filtered by."""
MADE: Final[Filters] = {
    **FLEET,
    "outcome": any_of("item.outcome"),
    "created_by": by_creator,
    "schedule": by_schedule,
    "label": by_label,
    "created_after": lambda moment: [{"item.createdAt": {"$gt": moment}}],
    "created_before": lambda moment: [{"item.createdAt": {"$lt": moment}}],
}
"""What a `MadeQuery` means."""
