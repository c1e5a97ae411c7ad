"""All tests, in three runs of pytest side by side: real nodes of others, our daemons as processes, all the rest.

    python scripts/run_tests.py [pytest options for each]

The first two mostly wait, so two cores are enough for the three. The rest is shown as it goes; what the others said is
shown when they are done. Ends with 0 only if all do.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
BESIDE = {"real LND and LDK nodes": ("tests/nodes", "tests/peers"), "daemons as processes": ("tests/e2e",)}
NO_TESTS = 5
"""pytest's exit code where an option left none."""


class Beside:
    """One run of pytest whose words are kept until they are asked for."""

    def __init__(self, name: str, command: list[str], said: IO[bytes]) -> None:
        self._name, self._said, self._began = name, said, time.monotonic()
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )

    def end(self) -> int:
        """Wait for it, show what it said, and answer its exit code."""
        print(f"== waiting for: {self._name}", flush=True)
        code = self._process.wait()
        self._said.seek(0)
        sys.stdout.write(self._said.read().decode(errors="replace"))
        print(f"== {self._name}: exit {code}, {time.monotonic() - self._began:.0f} s after the start", flush=True)
        return code

    def interrupt(self) -> None:
        """Let it clean up as after a ctrl-C of its own, if it still runs."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(60)


@contextlib.contextmanager
def running_beside(pytest: list[str]) -> Iterator[list[Beside]]:
    """Start the runs of `BESIDE`; none of them outlives the block."""
    with contextlib.ExitStack() as stack:
        runs = []
        for name, folders in BESIDE.items():
            print(f"== {' '.join(folders)}: {name}, beside the others; shown at the end", flush=True)
            said = stack.enter_context(tempfile.TemporaryFile())
            runs.append(Beside(name, [*pytest, "-p", "no:cacheprovider", *folders], said))
            stack.callback(runs[-1].interrupt)
        yield runs


def main() -> int:
    pytest = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    ignored = [f"--ignore={folder}" for folders in BESIDE.values() for folder in folders]
    with running_beside(pytest) as runs:
        rest = subprocess.run([*pytest, "--cov", "--cov-report=term", *ignored], cwd=ROOT, check=False).returncode
        codes = [rest, *(run.end() for run in runs)]
    print(
        f"== exits: the rest {rest}, "
        + ", ".join(f"{name} {code}" for name, code in zip(BESIDE, codes[1:], strict=True))
    )
    return next((code for code in codes if code not in (0, NO_TESTS)), 0)


if __name__ == "__main__":
    sys.exit(main())
