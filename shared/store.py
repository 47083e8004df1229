"""The way to MongoDB that gateway and status share: one client, and one reading of its errors."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DocumentTooLarge, DuplicateKeyError, OperationFailure, PyMongoError

from shared.messaging.outcomes import Unavailable
from shared.runtime.settings import MongoSettings
from shared.runtime.stopping import unless_cancelled

MONGODB: Final = "mongodb"
"""The name of the dependency in readiness and in Unavailable."""

Database = AsyncDatabase[dict[str, Any]]

_ABOUT_THE_DOCUMENT: Final = frozenset({2, 9, 14, 52, 57, 121, 10334, 16755, 17280, 17419})
"""BadValue, FailedToParse, TypeMismatch, field names with $ or dots, failed validation, too large: it would fail for ever."""


@contextlib.asynccontextmanager
async def opened_database(settings: MongoSettings, name: str) -> AsyncIterator[Database]:
    """Open the database while the context lasts, as that application; returns at once, also while it is away."""
    milliseconds = int(settings.timeout * 1000)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        settings.url.get_secret_value(),
        appname=name,
        w="majority",
        journal=True,  # messages are acked and requests answered on the strength of a write: it must outlive the server's death
        timeoutMS=milliseconds,
        serverSelectionTimeoutMS=milliseconds,
        connectTimeoutMS=milliseconds,
    )
    # One date out of range or one broken text must not make a whole batch unreadable.
    options: CodecOptions[dict[str, Any]] = CodecOptions(
        tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO, unicode_decode_error_handler="replace"
    )
    try:
        yield client.get_database(settings.database, codec_options=options)
    finally:
        await client.close()


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Turn every way in which the database can fail to answer into Unavailable("mongodb"), and let no cancellation end in here.

    What passes through is an answer: a duplicate key, or a document that would be refused for ever. Everything else, also
    what we have never seen, may be different in a moment (a fail-over, a user without rights yet, a full disk).
    """
    try:
        yield
    except (DuplicateKeyError, DocumentTooLarge):
        raise
    except PyMongoError as error:
        unless_cancelled()  # as below: whoever is to stop must not go on to wait for a database that is away
        if isinstance(error, OperationFailure) and error.code in _ABOUT_THE_DOCUMENT:
            raise
        code = f" {error.code}" if isinstance(error, OperationFailure) and error.code else ""
        # Not its words: they list hosts and topology, and go on for lines.
        raise Unavailable(MONGODB, f"{type(error).__name__}{code}") from error
    unless_cancelled()  # the driver rests on asyncio.wait_for
