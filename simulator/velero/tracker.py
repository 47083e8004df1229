"""Which backups this process is busy with. A new process knows of none, whatever the objects say."""


class Tracker:
    """The backups under way, by name."""

    def __init__(self) -> None:
        self._starting: set[str] = set()
        self._running: set[str] = set()
        self._finishing: set[str] = set()
        self._missed: set[str] = set()

    @property
    def running(self) -> int:
        """How many backups take a place: they are about to start or in progress."""
        return len(self._starting | self._running)

    def busy(self, name: str) -> bool:
        """Tell whether a backup is in progress or not finished afterwards."""
        return name in self._running or name in self._finishing

    def starting(self, name: str) -> None:
        """Take a place for a backup that may start."""
        self._starting.add(name)

    def started(self, name: str) -> None:
        """Note that a backup is in progress."""
        self._starting.discard(name)
        self._running.add(name)

    def finishing(self, name: str) -> None:
        """Note that a backup has left its place but is not finished."""
        self.left(name)
        self._finishing.add(name)

    def left(self, name: str) -> None:
        """Free the place of a backup."""
        self._starting.discard(name)
        self._running.discard(name)

    def miss(self, name: str) -> None:
        """Let the queue not notice that a backup ends, as happens when its place is freed a moment too late."""
        self._missed.add(name)

    def missed(self, name: str) -> bool:
        """Tell, once, whether the end of a backup goes unnoticed."""
        missed = name in self._missed
        self._missed.discard(name)
        return missed

    def finished(self, name: str) -> None:
        """Forget a backup."""
        self.left(name)
        self._finishing.discard(name)
