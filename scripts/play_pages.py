"""Play the terminal sessions of a page for real, and compare what comes out with what the page shows.

    python scripts/play_pages.py README.md            fail if a session differs from the page
    python scripts/play_pages.py --write README.md    put what really came out into the page

A session is every fenced block of the language `console`, all blocks of a page together: lines that begin with `$ ` are
typed, the lines below are what they print. They run one after the other in one bash, in an empty folder that is also
HOME; a command that ends in `&` stays in the background and may print the lines shown below it when it likes.

What differs from run to run is no difference: ids, keys, hashes and offers (but the same text on the page must be the
same text in the run, and commands may use what was printed before), moments, and the folder, which the page calls
/home/you. Ports on 127.0.0.1 are exchanged for free ones. A command must succeed, unless the next one is `echo $?`.
`lnrecur subscriptions list` and `show` are asked again for a while if they do not show yet what the page does.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

PAGE_HOME = "/home/you"
PATIENCE_S = 30.0
MARK = "--lnrecur-page-command-done--"
_PORT = re.compile(r"127\.0\.0\.1:(\d+)")
_VOLATILE = re.compile(
    r"(?P<moment>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?: UTC|Z)?)"
    r"|(?P<offer>ln[ori]1[02-9ac-hj-np-z]{6,})"
    r"|(?P<hex>\b[0-9a-f]{12,}\b)"
)
_ASKED_AGAIN = re.compile(r"lnrecur subscriptions (list|show)\b")


class Differs(Exception):
    """The page does not show what happens."""


@dataclass
class Command:
    """One typed line of a page and what the page says it prints."""

    page_line: int
    typed: str
    shown: list[str] = field(default_factory=list)

    @property
    def in_background(self) -> bool:
        return self.typed.rstrip().endswith("&")


def commands_of(page: str) -> list[Command]:
    """The commands of all sessions of a page, in order."""
    found: list[Command] = []
    inside = False
    for number, line in enumerate(page.splitlines()):
        if line.startswith("```"):
            inside = line.strip() == "```console"
        elif inside and line.startswith("$ "):
            found.append(Command(number, line[2:]))
        elif inside and found:
            found[-1].shown.append(line.rstrip())
    return found


class Shell:
    """One bash in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        tools = Path(sys.executable).parent  # not resolved: the environment's own bin
        kept = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(folder), "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        self._process = subprocess.Popen(
            ["bash", "--norc"], cwd=folder, env=kept, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._lines: Queue[str] = Queue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._lines.put(line.rstrip())

    def type(self, line: str) -> tuple[list[str], int]:
        """Run a line to its end; answers what was printed and the exit code."""
        self._say(f"{line}\n__code=$?; echo; echo {MARK} $__code; (exit $__code)\n")
        printed: list[str] = []
        while not (told := self._next(line)).startswith(MARK):
            printed.append(told)
        return printed[:-1] if printed and not printed[-1] else printed, int(told.split()[1])

    def start(self, line: str, lines: int) -> list[str]:
        """Run a line in the background; answers its first `lines` lines."""
        self._say(f"{line}\n")
        return [self._next(line) for _ in range(lines)]

    def close(self) -> None:
        """End everything that was started here."""
        os.killpg(self._process.pid, signal.SIGTERM)
        time.sleep(0.2)
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _say(self, text: str) -> None:
        if self._process.stdin is None:
            raise RuntimeError("bash has no input")
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def _next(self, line: str) -> str:
        try:
            return self._lines.get(timeout=PATIENCE_S)
        except Empty:
            raise Differs(f"$ {line}\nprints nothing more after {PATIENCE_S:.0f} seconds") from None


class Session:
    """The sessions of one page, played."""

    def __init__(self, page: str, folder: Path) -> None:
        self._folder = folder
        self._shell = Shell(folder)
        self._real_of: dict[str, str] = {}
        """What stands on the page, and what it is in this run."""
        ports = list(dict.fromkeys(_PORT.findall(page)))
        self._ports = dict(zip(ports, free_ports(len(ports)), strict=True))

    def close(self) -> None:
        self._shell.close()

    def play(self, command: Command, *, may_fail: bool) -> list[str]:
        """Type a command; answers what it printed, in the words of the page.

        Raises:
            Differs: it failed.
        """
        typed = self._as_run(command.typed)
        if command.in_background:
            return self._as_page(self._shell.start(typed, max(1, len(command.shown))))
        printed, code = self._shell.type(typed)
        until = time.monotonic() + PATIENCE_S
        while _ASKED_AGAIN.match(command.typed) and command.shown and time.monotonic() < until:
            if code == 0 and not self._difference(command, self._as_page(printed)):
                break
            time.sleep(0.3)
            printed, code = self._shell.type(typed)
        if code and not may_fail:
            raise Differs(f"$ {command.typed}\nends with {code}: {' / '.join(printed)}")
        return self._as_page(printed)

    def compare(self, command: Command, printed: list[str]) -> None:
        """Learn what stands for what.

        Raises:
            Differs: what was printed is not what the page shows.
        """
        difference = self._difference(command, printed)
        if difference:
            raise Differs(difference)
        for shown, real in self._pairs(command.shown, printed):
            self._real_of[shown] = real

    def rewrite(self, command: Command, printed: list[str]) -> None:
        """Let the page show what was printed; later commands that use texts of the old page use the new ones."""
        if len(command.shown) == len(printed):
            self._real_of.update(self._pairs(command.shown, printed))
        command.typed = self._renewed(command.typed)
        command.shown = printed

    def _difference(self, command: Command, printed: list[str]) -> str:
        shown = [_VOLATILE.sub(_kind, line) for line in command.shown]
        real = [_VOLATILE.sub(_kind, line) for line in printed]
        told = f"line {command.page_line + 1}: $ {command.typed}\n"
        if len(shown) != len(real):
            return f"{told}prints {len(real)} lines, the page shows {len(shown)}:\n" + "\n".join(printed)
        for page_line, real_line in zip(shown, real, strict=True):
            if page_line != real_line:
                return f"{told}page: {page_line}\nreal: {real_line}"
        for page_token, token in self._pairs(command.shown, printed):
            known = self._real_of.get(page_token, token)
            if known != token:
                return f"{told}{page_token} was {known} before and is {token} now"
        return ""

    def _pairs(self, shown: list[str], printed: list[str]) -> Iterator[tuple[str, str]]:
        """Which texts of the page stand for which of the run; moments stand for nothing."""
        for page_line, real_line in zip(shown, printed, strict=True):
            for left, right in zip(_VOLATILE.finditer(page_line), _VOLATILE.finditer(real_line), strict=False):
                if left.lastgroup != "moment":
                    yield left[0], right[0]

    def _as_run(self, text: str) -> str:
        text = _PORT.sub(lambda found: f"127.0.0.1:{self._ports[found[1]]}", text)
        return self._renewed(text).replace(PAGE_HOME, str(self._folder))

    def _renewed(self, text: str) -> str:
        return _VOLATILE.sub(lambda found: self._real_of.get(found[0], found[0]), text)

    def _as_page(self, lines: list[str]) -> list[str]:
        on_page = {real: page for page, real in self._ports.items()}
        text = "\n".join(lines).replace(str(self._folder), PAGE_HOME)
        text = _PORT.sub(lambda found: f"127.0.0.1:{on_page.get(found[1], found[1])}", text)
        return [line.rstrip() for line in text.split("\n")] if lines else []


def _kind(found: re.Match[str]) -> str:
    return f"<{found.lastgroup}>"


def free_ports(count: int) -> list[str]:
    """Ports that nobody listens on just now."""
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            held.append(socket.create_server(("127.0.0.1", 0)))
        return [str(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()


def play(path: Path, *, write: bool) -> None:
    """Play all sessions of a page.

    Raises:
        Differs: something is not as the page shows (with `write`: something failed).
    """
    page = path.read_text()
    commands = commands_of(page)
    if not commands:
        raise Differs(f"{path} has no session: no block of the language console")
    with tempfile.TemporaryDirectory(prefix="lnrecur-page-") as folder:
        session = Session(page, Path(folder))
        try:
            for command, following in zip(commands, [*commands[1:], None], strict=True):
                may_fail = following is not None and following.typed == "echo $?"
                printed = session.play(command, may_fail=may_fail)
                if write:
                    session.rewrite(command, printed)
                session.compare(command, printed)
        finally:
            session.close()
    if write:
        path.write_text(rewritten(page, commands))


def rewritten(page: str, commands: list[Command]) -> str:
    """The page with what its commands print now."""
    by_line = {command.page_line: command for command in commands}
    written: list[str] = []
    inside = dropping = False
    for number, line in enumerate(page.splitlines()):
        if line.startswith("```"):
            inside, dropping = line.strip() == "```console", False
        if number in by_line:
            written += [f"$ {by_line[number].typed}", *by_line[number].shown]
            dropping = True
        elif not (inside and dropping):
            written.append(line)
    return "\n".join(written) + "\n"


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--write"]
    for name in arguments:
        try:
            play(Path(name), write="--write" in sys.argv[1:])
        except Differs as differs:
            print(f"{name}: {differs}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
