"""The words in which a handler says how it ended; the consumer loop decides what follows from each."""


class Retry(Exception):  # noqa: N818 - an outcome, not an error
    """Not now: try this message again, after `after` seconds or the loop's own ladder."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Unavailable(Exception):  # noqa: N818 - an outcome, not an error
    """Something the work depends on does not answer: hold everything, count nothing, go on when it does."""

    def __init__(self, dependency: str, reason: str) -> None:
        super().__init__(f"{dependency}: {reason}")
        self.dependency = dependency
        self.reason = reason
