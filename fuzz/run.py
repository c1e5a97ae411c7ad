"""Fuzz the four decoders, one after the other, and say how it went.

    python fuzz/run.py --minutes 5 [--target offer] [--corpus FOLDER]

Needs atheris: `pip install -e '.[fuzz]'`. Prints one line per target; an input that broke an invariant is kept in
fuzz/findings/. The exit code is 1 after a finding, 2 where atheris is missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fuzz.seeds import CORPUS, PREFIXES, seeds  # noqa: E402 - the line above makes it importable

TARGETS = (*PREFIXES, "invoice_error")
FINDINGS = ROOT / "fuzz" / "findings"
INPUT_MAX = 3000
"""Bytes of the longest input tried: three times the longest recorded message. Longer ones: fuzz/hostile.py."""


def fuzz(target: str, minutes: float, folder: Path) -> bool:
    """Run one target; answers whether it broke."""
    folder.mkdir(parents=True, exist_ok=True)
    FINDINGS.mkdir(exist_ok=True)
    for data in seeds(target):
        (folder / sha256(data).hexdigest()[:16]).write_bytes(data)
    command = [
        sys.executable, str(ROOT / "fuzz" / "target.py"), target, f"-max_total_time={int(minutes * 60)}",
        f"-max_len={INPUT_MAX}", "-timeout=5", "-print_final_stats=1", f"-artifact_prefix={FINDINGS}/{target}-",
        str(folder),
    ]  # fmt: skip
    done = subprocess.run(  # noqa: S603 - our own interpreter and file
        command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False
    )
    told = done.stdout + done.stderr
    executed, a_second = (_statistic(told, name) for name in ("number_of_executed_units", "average_exec_per_sec"))
    coverage = re.findall(r"cov: (\d+)", told)
    verdict = "no finding" if done.returncode == 0 else "FINDING"
    print(
        f"{target:16} {executed:>9,} executions {a_second:>7,}/s  coverage {coverage[-1] if coverage else '?':>5}  "
        f"{verdict}",
        flush=True,
    )
    if done.returncode != 0:
        raised = done.stdout[done.stdout.find("=== Uncaught Python exception") :]
        print("\n".join([*raised.splitlines(), *done.stderr.splitlines()[-15:]]), file=sys.stderr, flush=True)
    return done.returncode != 0


def _statistic(told: str, name: str) -> int:
    found = re.search(rf"stat::{name}:\s+(\d+)", told)
    return int(found[1]) if found else 0


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Fuzz the decoders of BOLT 12 messages.")
    parser.add_argument("--minutes", type=float, default=1, help="for each target (default: 1)")
    parser.add_argument("--target", choices=TARGETS, action="append", help="only this one; may be given again")
    parser.add_argument("--corpus", type=Path, help=f"keep what was learned here; {CORPUS} is never changed")
    asked = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed here: pip install -e '.[fuzz]'", file=sys.stderr)
        sys.exit(2)
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.corpus or Path(scratch)
        broken = [fuzz(target, asked.minutes, folder / target) for target in asked.target or TARGETS]
    sys.exit(1 if any(broken) else 0)


if __name__ == "__main__":
    main()
