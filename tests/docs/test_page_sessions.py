"""The terminal sessions on the pages are played with the real command and real daemons (scripts/play_pages.py)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAYER = ROOT / "scripts" / "play_pages.py"
SESSIONS = [
    page
    for page in (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")))
    if "\n```console\n" in page.read_text()
]


def _play(page: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, PLAYER, page], capture_output=True, text=True, timeout=150)


def test_the_readme_shows_a_session() -> None:
    assert ROOT / "README.md" in SESSIONS


@pytest.mark.slow
@pytest.mark.parametrize("page", SESSIONS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_sessions_of_a_page_happen_as_shown(page: Path) -> None:
    played = _play(page)
    assert (played.returncode, played.stderr) == (0, "")


def _page(tmp_path: Path, *lines: str) -> Path:
    page = tmp_path / "page.md"
    page.write_text("\n".join(("# A page", "", "```console", *lines, "```", "")))
    return page


def test_a_session_that_prints_something_else_fails(tmp_path: Path) -> None:
    played = _play(_page(tmp_path, "$ echo one; echo two", "one", "three"))
    assert played.returncode == 1
    assert "page: three\nreal: two" in played.stderr


def test_a_session_that_prints_more_than_shown_fails(tmp_path: Path) -> None:
    played = _play(_page(tmp_path, "$ echo one; echo two", "one"))
    assert played.returncode == 1
    assert "prints 2 lines, the page shows 1" in played.stderr


def test_a_command_that_fails_unannounced_fails(tmp_path: Path) -> None:
    played = _play(_page(tmp_path, "$ false"))
    assert played.returncode == 1
    assert "ends with 1" in played.stderr


def test_a_command_may_fail_where_the_page_shows_its_exit_code(tmp_path: Path) -> None:
    assert _play(_page(tmp_path, "$ (exit 3)", "$ echo $?", "3")).returncode == 0
    assert _play(_page(tmp_path, "$ (exit 4)", "$ echo $?", "3")).returncode == 1


def test_what_was_printed_stands_for_what_is_printed_now(tmp_path: Path) -> None:
    first, second = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
    lines = (
        f"$ echo id {second} > kept; cat kept",
        f"id {first}",
        f"$ test {first} = {first}; cat kept",
        f"id {first}",
    )
    assert _play(_page(tmp_path, *lines)).returncode == 0


def test_one_text_of_a_page_cannot_stand_for_two(tmp_path: Path) -> None:
    shown = "aaaaaaaaaaaa"
    played = _play(_page(tmp_path, "$ echo $((111111111111))", shown, "$ echo $((222222222222))", shown))
    assert played.returncode == 1
    assert "was 111111111111 before and is 222222222222 now" in played.stderr
