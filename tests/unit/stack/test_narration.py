import io
import sys

from leeward.stack.narration import Narrator
from tests.support.waiting import eventually


async def test_every_whole_line_of_every_log_is_shown_from_now_on_and_again_after_it_has_begun_anew(tmp_path, capsys):
    log, said = tmp_path / "status.log", ""

    async def shown(words):
        def look():
            nonlocal said
            said += capsys.readouterr().out
            return words in said

        await eventually(words, look)

    log.write_text("long before this\n")
    async with Narrator().following(tmp_path):
        with log.open("a") as file:
            file.write("first\nsec")
            file.flush()
            await shown("   status | first\n")
            file.write("ond\n")
        await shown("   status | second\n")
        log.write_text("anew\n")
        await shown("   status | anew\n")
    assert "before" not in said
    assert "| sec\n" not in said


def test_that_nobody_reads_any_more_ends_nothing(monkeypatch):
    class Gone(io.StringIO):
        def write(self, _text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    narrator = Narrator()
    narrator.say("words")
    narrator.tell("words")
    narrator.step("words", 1.0)
