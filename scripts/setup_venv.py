"""Make the virtual environment of this checkout, on a machine that has Python and little else.

Debian and Ubuntu ship Python without `ensurepip` unless python3-venv is installed. Then the environment is made without
pip, and the pip wheel named below is fetched from PyPI, checked against its hash and run from the file.

    python3 scripts/setup_venv.py .venv
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import venv
from pathlib import Path

PIP_WHEEL = (
    "https://files.pythonhosted.org/packages/07/25/ee8c38ae72d66b844ce8eb9711ba905dba21ca1a8a0c960057c41cd23337/"
    "pip-26.3-py3-none-any.whl"
)
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".venv").absolute()
    if sys.version_info < (3, 11):  # noqa: UP036 - this script runs before anything was checked
        sys.exit(f"lnrecur needs Python 3.11 or newer, this is {sys.version.split()[0]}")
    say(f"making {folder.name} with Python {sys.version.split()[0]}")
    shutil.rmtree(folder, ignore_errors=True)
    pip = make_environment(folder)
    say("installing lnrecur and its tools (pinned in constraints.txt)")
    command = [*pip, "install", "--quiet", "--disable-pip-version-check", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*command, "-e", f"{ROOT}[dev]"], check=True)
    say("ready")


def make_environment(folder: Path) -> list[str]:
    """Make the environment; answers the command that runs pip in it."""
    python = str(folder / "bin" / "python")
    has_ensurepip = subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True).returncode == 0
    venv.create(folder, with_pip=has_ensurepip, symlinks=True)
    if has_ensurepip:
        return [python, "-m", "pip"]
    say("this Python has no ensurepip: fetching pip from PyPI")
    with tempfile.TemporaryDirectory() as scratch:
        wheel = Path(scratch) / PIP_WHEEL.rsplit("/", 1)[1]
        wheel.write_bytes(fetch(PIP_WHEEL, PIP_SHA256))
        subprocess.run([python, f"{wheel}/pip", "install", "--quiet", "--no-index", str(wheel)], check=True)
    return [python, "-m", "pip"]


def fetch(url: str, sha256: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        data: bytes = answer.read()
    if hashlib.sha256(data).hexdigest() != sha256:
        sys.exit(f"{url} is not the file that was pinned")
    return data


def say(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr if os.environ.get("CI") else sys.stdout, flush=True)


if __name__ == "__main__":
    main()
