"""The printing helpers: nothing a stranger wrote reaches a terminal as more than text."""

import io
import json
import time
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from lnrecur.cli.output import (
    json_asked,
    json_option,
    local_moment,
    make_console,
    print_facts,
    print_json,
    print_table,
    printable,
)
from lnrecur.wire.integers import U64_MAX

ESCAPE = "\x1b[31mred\x1b[0m"
RIGHT_TO_LEFT = "pay \u202e tas 01"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ümläut, 日本語, 🍵", "plain text, ümläut, 日本語, 🍵"),
        (ESCAPE, "\ufffd[31mred\ufffd[0m"),
        (RIGHT_TO_LEFT, "pay \ufffd tas 01"),
        ("two\nlines\r\x85\u2028\u2029", "two\ufffdlines" + "\ufffd" * 4),
        ("\x00\x07\x1c\x7f\x9b\u200b\u2066\ufeff\ue000", "\ufffd" * 9),
        ("wide\u3000space\u00a0s", "wide space s"),
        ("tab\t", "tab\ufffd"),
    ],
)
def test_a_strangers_text_is_made_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_console_has_no_colour_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    pipe = io.StringIO()
    make_console(pipe).print("hello", style="bold red")
    assert pipe.getvalue() == "hello\n"


def test_a_terminal_has_colour_unless_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain = Terminal(), Terminal()
    make_console(coloured).print("hello", style="red")
    monkeypatch.setenv("NO_COLOR", "1")
    make_console(plain).print("hello", style="red")
    assert coloured.getvalue() == "\x1b[31mhello\x1b[0m\n"
    assert plain.getvalue() == "hello\n"


def test_nothing_is_read_as_markup_or_emoji_or_highlighted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    console = make_console(terminal)
    console.print("[red]12[/red] :tea: [/]")
    print_facts(console, "[b]Who[/b]", [("name", "[link=http://evil]x[/link] :tea:")])
    print_table(console, ("[i]a[/i]", "b"), [("[/]", "[bold]1")])
    shown = terminal.getvalue()
    for text in ("[red]12[/red] :tea: [/]", "[b]Who[/b]", "[link=http://evil]x[/link] :tea:", "[i]a[/i]", "[bold]1"):
        assert text in shown


def test_facts_without_any_print_nothing() -> None:
    pipe = io.StringIO()
    print_facts(make_console(pipe), "Nobody", [])
    assert pipe.getvalue() == ""


def test_a_long_fact_stays_in_one_piece() -> None:
    pipe = io.StringIO()
    print_facts(make_console(pipe), "Who", [("id", "ab" * 200), ("name", "tea")])
    assert pipe.getvalue() == f"\nWho\n  id    {'ab' * 200}\n  name  tea\n"


def test_long_cells_are_folded_and_never_cut() -> None:
    pipe = io.StringIO()
    print_table(make_console(pipe), ("what", "value"), [("hex", "ab" * 200)])
    rows = pipe.getvalue().splitlines()[2:]
    assert "".join(row.removeprefix("hex").strip() for row in rows) == "ab" * 200


def test_a_terminal_that_is_not_utf_8_shows_what_it_can() -> None:
    raw = io.BytesIO()
    terminal = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    make_console(terminal).print("tea: 茶")
    assert raw.getvalue() == b"tea: ?\n"


def test_json_is_ascii_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": f"{ESCAPE} {RIGHT_TO_LEFT} \x7f"})
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert json.loads(shown) == {"text": f"{ESCAPE} {RIGHT_TO_LEFT} \x7f"}


def test_the_json_option_is_remembered_for_errors() -> None:
    @click.command()
    @json_option
    def command(as_json: bool) -> None:
        click.echo(f"{as_json} {json_asked(click.get_current_context())}")

    assert CliRunner().invoke(command, []).output == "False False\n"
    assert CliRunner().invoke(command, ["--json"]).output == "True True\n"


@pytest.fixture
def _tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_tokyo")
def test_a_moment_is_told_in_the_readers_zone() -> None:
    assert local_moment(0) == "1970-01-01 09:00:00 JST"
    assert local_moment(1_769_817_600) == "2026-01-31 09:00:00 JST"


@pytest.mark.usefixtures("_tokyo")
@pytest.mark.parametrize(
    ("unix", "told"),
    [
        (253_402_300_799, "9999-12-31 23:59:59 UTC"),  # in Tokyo the year 10000 has begun
        (253_402_300_800, "10000-01-01 00:00:00 UTC"),
        (U64_MAX, "584554051223-11-09 07:00:15 UTC"),
    ],
)
def test_a_moment_beyond_the_c_library_is_told_in_utc(unix: int, told: str) -> None:
    assert local_moment(unix) == told
