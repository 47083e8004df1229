"""The objects of one cluster in a file, so that a process that is killed and started again has every one of them.

SQLite writes ahead and never waits for the disk: what was written is safe from the death of the process, not of the machine.
"""

import json
import sqlite3
from pathlib import Path

from simulator.documents import Document, Name, Objects

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    resource TEXT, namespace TEXT, name TEXT, document TEXT NOT NULL, PRIMARY KEY (resource, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cluster (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL);
"""
_PUT = "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)"
_DELETE = "DELETE FROM objects WHERE (resource, namespace, name) = (?, ?, ?)"
_REVISION = "INSERT OR REPLACE INTO cluster VALUES (1, ?)"


class DataInUse(Exception):  # noqa: N818 (it says what is the matter)
    """Another process works on the same file."""


class Disk:
    """One file. Every write is a transaction of its own, with the revision that it made."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raise DataInUse, and OSError when the folder cannot be made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(path, timeout=0.0, isolation_level=None)
        try:
            for setting in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = OFF"):
                self._file.execute(f"PRAGMA {setting}")
            self._file.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            self._file.close()
            if "locked" in str(error):
                raise DataInUse(f"{path} is in use by another process") from error
            raise

    def load(self) -> tuple[int, dict[str, Objects]] | None:
        """Return the revision and every object by resource and name, or None when nothing was ever written."""
        row = self._file.execute("SELECT revision FROM cluster").fetchone()
        if row is None:
            return None
        objects: dict[str, Objects] = {}
        for resource, namespace, name, text in self._file.execute("SELECT * FROM objects"):
            objects.setdefault(resource, {})[namespace, name] = json.loads(text)
        return row[0], objects

    def put(self, revision: int, resource: str, name: Name, document: Document) -> None:
        """Write one object."""
        self._write(revision, _PUT, (resource, *name, _text(document)))

    def delete(self, revision: int, resource: str, name: Name) -> None:
        """Remove one object."""
        self._write(revision, _DELETE, (resource, *name))

    def replace(self, revision: int, objects: dict[str, Objects]) -> None:
        """Write other content in the place of everything, at once or not at all."""
        rows = [(resource, *name, _text(item)) for resource, items in objects.items() for name, item in items.items()]
        with self._file:
            self._file.execute("BEGIN")
            self._file.execute("DELETE FROM objects")
            self._file.executemany(_PUT, rows)
            self._file.execute(_REVISION, (revision,))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _write(self, revision: int, statement: str, values: tuple[str, ...]) -> None:
        with self._file:
            self._file.execute("BEGIN")
            self._file.execute(statement, values)
            self._file.execute(_REVISION, (revision,))


def _text(document: Document) -> str:
    return json.dumps(document, separators=(",", ":"))
