"""Disks that fill up, become read-only, or stop taking more, for tests of real daemons."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A disk of its own, mounted in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no byte."""
        with self._ballast.open("wb", buffering=0) as ballast:
            for size in (65536, 4096):
                try:
                    while True:
                        ballast.write(bytes(size))
                except OSError:
                    continue

    def make_room(self) -> None:
        """Give back what `fill` took."""
        self._ballast.unlink()

    def set_read_only(self, on: bool) -> None:
        """Nobody may have a file open for writing when it becomes read-only."""
        _mount("-o", f"remount,{'ro' if on else 'rw'}", str(self.folder))


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A disk while the block runs; the test is skipped where nothing may be mounted."""
    folder.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def _mount(*args: str) -> None:
    subprocess.run(["mount", *args], check=True, capture_output=True)


@contextmanager
def immutable(files: list[Path]) -> Iterator[None]:
    """Nobody can write these files, not even who has them open; skipped where the file system cannot do that."""
    try:
        for file in files:
            subprocess.run(["chattr", "+i", str(file)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        _let_go(files)
        pytest.skip(f"files cannot be made immutable here: {error}")
    try:
        yield
    finally:
        _let_go(files)


def _let_go(files: list[Path]) -> None:
    for file in files:
        subprocess.run(["chattr", "-i", str(file)], check=False, capture_output=True)


@contextmanager
def no_file_grows_beyond(pid: int, size: int) -> Iterator[None]:
    """A running process of ours can write no file behind this many bytes; it works everywhere."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def give_to(folder: Path, user: int) -> None:
    """Make a folder another user's."""
    if os.geteuid() == 0:
        os.chown(folder, user, user)
