"""One look for many: equal questions that come while one is being answered share the next answer."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from shared.together import Together


@dataclass(slots=True, eq=False)
class Shared:
    """Answers by key. Nobody is given an answer that was begun before they asked, so everybody sees what they have done."""

    _asked: dict[str, Together[None, bytes]] = field(default_factory=dict)

    async def __call__(self, key: str, look: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return what `look` finds, or what an equal one finds that begins from now on."""

        async def all_at_once(questions: Sequence[None]) -> list[bytes]:
            return [await look()] * len(questions)

        asked = self._asked.setdefault(key, Together(all_at_once))
        try:
            return await asked(None)
        finally:
            if asked.idle:
                self._asked.pop(key, None)
