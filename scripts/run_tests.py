"""All tests, in two runs of pytest side by side: those with real nodes of others, which mostly wait, and all the rest.

    python scripts/run_tests.py [pytest options for both]

The rest is shown as it goes; what the other run said is shown when both are done. Ends with 0 only if both do.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
REAL_NODES = ("tests/nodes", "tests/peers")
NO_TESTS = 5
"""pytest's exit code where an option left none."""


def main() -> int:
    options = sys.argv[1:]
    command = [sys.executable, "-m", "pytest", *options]
    with tempfile.TemporaryFile() as said:
        print(f"== {' '.join(REAL_NODES)}: real LND and LDK nodes, beside the others; shown at the end", flush=True)
        began = time.monotonic()
        nodes = subprocess.Popen(
            [*command, "-p", "no:cacheprovider", *REAL_NODES],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            ignored = [f"--ignore={folder}" for folder in REAL_NODES]
            rest = subprocess.run([*command, "--cov", "--cov-report=term", *ignored], cwd=ROOT, check=False).returncode
            print("== waiting for the tests with real nodes", flush=True)
            nodes.wait()
        finally:
            if nodes.poll() is None:  # interrupted: it cleans up as after a ctrl-C of its own
                os.killpg(nodes.pid, signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    nodes.wait(60)
        said.seek(0)
        sys.stdout.write(said.read().decode(errors="replace"))
        print(f"== real nodes: exit {nodes.returncode} after {time.monotonic() - began:.0f} s; the others: exit {rest}")
    return next((code for code in (rest, nodes.returncode) if code not in (0, NO_TESTS)), 0)


if __name__ == "__main__":
    sys.exit(main())
