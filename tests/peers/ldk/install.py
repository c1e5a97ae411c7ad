"""Installs the pinned LDK beside the sidecar: `npm ci` in this folder, once for every package-lock.json."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
NODE_MAJOR_MIN = 20
REQUIRED = "LNRECUR_REQUIRE_LDK"
"""Set to 1 (the gate does), a missing LDK fails the tests instead of skipping them."""
INSTALL_SECONDS = 300
HOW_TO = f"the tests with a real LDK need Node.js {NODE_MAJOR_MIN} or newer with npm (https://nodejs.org)"


class LdkMissing(Exception):
    """There is no LDK to test with; the text says what to do about it."""


def install() -> None:
    """Have LDK installed.

    Raises:
        LdkMissing: Node.js or npm is missing or too old, or npm could not install.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise LdkMissing(f"{HOW_TO}: {'node' if node is None else 'npm'} was not found")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if not version.startswith("v") or int(version[1:].split(".")[0]) < NODE_MAJOR_MIN:
        raise LdkMissing(f"{HOW_TO}: this node is {version or 'broken'}")
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    with (HERE / ".install-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs in one checkout
        stamp = MODULES / ".lnrecur-installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            _npm_ci(npm)
            stamp.write_text(wanted)


def _npm_ci(npm: str) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    try:
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise LdkMissing(f"npm ci in {HERE} did not end within {INSTALL_SECONDS} s") from error
    if done.returncode:
        raise LdkMissing(f"npm ci in {HERE} failed, is the npm registry reachable?\n{done.stderr[-2000:]}")


def is_required() -> bool:
    return os.environ.get(REQUIRED, "") not in ("", "0")
