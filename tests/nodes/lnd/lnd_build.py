"""Builds pinned lnd, lncli and btcd through the Go module proxy, once per machine and version.

`go install PACKAGE@VERSION` refuses modules with `replace` lines, and lnd does not compile without them: hence the
small module beside this file. What is built lies outside the tree, in a folder named after the versions, the flags and
the toolchain, so that another pin builds anew and an old one is found again.

    python tests/nodes/lnd/lnd_build.py     builds, and prints where the programs are
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))  # as pytest does

from helpers.leash import leashed  # noqa: E402

PROGRAMS = {
    "lnd": "github.com/lightningnetwork/lnd/cmd/lnd",
    "lncli": "github.com/lightningnetwork/lnd/cmd/lncli",
    "btcd": "github.com/btcsuite/btcd",
}
TAGS = "invoicesrpc signrpc"
"""The parts of lnd that its release has and that we call: hold invoices, and the shared key of a path's first hop."""
FLAGS = ("-trimpath", "-gcflags=all=-N -l", "-ldflags=-s -w")
"""Not optimised: that takes 5 instead of 9 minutes of a processor, and these nodes have little to do."""
GO_AT_LEAST = (1, 25)
REQUIRED = "LNRECUR_REQUIRE_LND"
"""In the environment: without a Go toolchain these tests fail, where they would be skipped else."""
BUILD_S_MAX = 1200
"""Measured on two processors: 18 s of download and 212 s of building, 280 s of one processor in all (2026-11)."""


class NoGo(Exception):
    """There is no Go toolchain that could build lnd."""


def lnd_version() -> str:
    """The pinned version."""
    found = re.search(r"lightningnetwork/lnd v(\S+)", (HERE / "go.mod").read_text())
    assert found is not None
    return found[1]


def cache_folder(go: str) -> Path:
    """Where the programs of this pin are, or will be."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    parts = [(HERE / name).read_bytes() for name in ("go.mod", "go.sum")]
    digest = hashlib.sha256(b"\0".join([*parts, " ".join((TAGS, *FLAGS, go)).encode()])).hexdigest()[:12]
    return Path(root) / "lnrecur-tests" / f"lnd-{lnd_version()}-{digest}"


def programs(tell: Callable[[str], None]) -> Path:
    """The folder with the programs; builds them where they are missing, telling how far it is.

    Raises:
        NoGo: there is no toolchain, or it is too old.
    """
    go = _toolchain()
    folder = cache_folder(go)
    if _complete(folder):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / "lock"):
        if not _complete(folder):
            _build(folder, go, tell)
    return folder


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in PROGRAMS)


def _toolchain() -> str:
    """What `go version` says."""
    way_out = f"install Go {'.'.join(map(str, GO_AT_LEAST))} or newer (https://go.dev/dl, or apt install golang)"
    if shutil.which("go") is None:
        raise NoGo(f"no Go toolchain to build lnd {lnd_version()} with: {way_out}")
    told = subprocess.run(["go", "version"], capture_output=True, text=True, cwd=HERE, env=_environment()).stdout
    found = re.search(r"go(\d+)\.(\d+)", told)
    if found is None or (int(found[1]), int(found[2])) < GO_AT_LEAST:
        raise NoGo(f"{told.strip() or 'this Go'} is too old to build lnd {lnd_version()} with: {way_out}")
    return told.strip()


def _environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}


def _build(folder: Path, go: str, tell: Callable[[str], None]) -> None:
    """Build next to the place and move there, so that a build that was cut short leaves nothing half."""
    began = time.monotonic()
    tell(f"building lnd {lnd_version()} and btcd with {go}; once, takes some minutes")
    half = folder / "half"
    half.mkdir(exist_ok=True)
    command = ["go", "build", "-v", "-p", "2", *FLAGS, "-tags", TAGS]
    command += ["-o", f"{half}/", *PROGRAMS.values()]
    compiled, told_at, last = 0, began, ""
    with (folder / "build.log").open("w") as log:
        process = subprocess.Popen(
            leashed(command), cwd=HERE, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        too_long = threading.Timer(BUILD_S_MAX, process.kill)
        too_long.start()
        for line in process.stdout:
            log.write(line)
            last = line.strip()
            compiled += not line.startswith("go: ")
            if time.monotonic() - told_at > 15:
                told_at = time.monotonic()
                tell(f"  {told_at - began:4.0f} s, {compiled} packages compiled, {last}")
        code = process.wait()
        too_long.cancel()
    if code == -signal.SIGKILL:
        raise RuntimeError(f"building lnd takes longer than {BUILD_S_MAX} s, see {folder / 'build.log'}: {last}")
    if code != 0:
        raise RuntimeError(f"lnd does not build, see {folder / 'build.log'}: {last}")
    for name in PROGRAMS:
        (half / name).replace(folder / name)
    tell(f"built in {time.monotonic() - began:.0f} s, kept in {folder}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        print(programs(lambda line: print(line, file=sys.stderr, flush=True)))
    except NoGo as missing:
        sys.exit(str(missing))
