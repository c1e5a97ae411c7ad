"""The daemon's files: who may read them, what is never overwritten, and the lock of a running daemon."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lnrecur.daemon import files
from lnrecur.daemon.config import Home
from lnrecur.daemon.files import (
    AlreadyRunning,
    DaemonLock,
    HomeError,
    create_home,
    read_seed,
    read_token,
    running_daemon,
)
from lnrecur.errors import UsageError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "config", tmp_path / "data" / "lnrecur")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_and_their_folders_are_for_their_owner_only(home: Home) -> None:
    before = os.umask(0)
    try:
        seed = create_home(home)
        lock = DaemonLock(home)
    finally:
        os.umask(before)
    assert [mode(home.seed), mode(home.token), mode(home.lock)] == [0o600] * 3
    assert [mode(home.config_dir), mode(home.data_dir)] == [0o700] * 2
    assert (read_seed(home), len(seed)) == (seed, 32)
    assert len(read_token(home)) == 64
    lock.release()


def test_two_homes_share_no_secret(tmp_path: Path) -> None:
    first, second = Home(tmp_path / "1", tmp_path / "1"), Home(tmp_path / "2", tmp_path / "2")
    assert create_home(first) != create_home(second)
    assert read_token(first) != read_token(second)


def test_a_second_identity_is_refused_and_nothing_is_changed(home: Home) -> None:
    create_home(home)
    before = {path: path.read_bytes() for path in home.data_dir.iterdir()}
    with pytest.raises(UsageError, match="has an identity"):
        create_home(home)
    assert {path: path.read_bytes() for path in home.data_dir.iterdir()} == before


def test_a_token_that_is_there_is_kept(home: Home) -> None:
    home.data_dir.mkdir(parents=True)
    home.token.write_text("0123456789" * 4)
    home.token.chmod(0o600)
    create_home(home)
    assert read_token(home) == "0123456789" * 4


def test_a_seed_that_cannot_be_written_is_not_there_at_all(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HomeError, match="No space left"):
        create_home(home)
    assert list(home.data_dir.iterdir()) == []


@pytest.mark.parametrize("rights", [0o640, 0o604, 0o660, 0o644, 0o610])
@pytest.mark.parametrize("secret", ["seed", "token"])
def test_a_secret_that_others_can_read_is_refused_with_the_way_out(home: Home, rights: int, secret: str) -> None:
    create_home(home)
    path: Path = getattr(home, secret)
    path.chmod(rights)
    with pytest.raises(HomeError) as raised:
        (read_seed if secret == "seed" else read_token)(home)
    assert str(raised.value) == f"{path} can be read by others: run `chmod 600 {path}`"
    path.chmod(0o600)
    assert (read_seed if secret == "seed" else read_token)(home)


def test_a_home_without_secrets_names_the_command_that_makes_them(home: Home) -> None:
    for read in (read_seed, read_token):
        with pytest.raises(HomeError, match="is missing: run `lnrecur init` first"):
            read(home)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "0 bytes"),
        (b"00" * 31, "31 bytes"),
        (b"00" * 33, "33 bytes"),
        (b"zz" * 32, "hexadecimal"),
        (b"\xff", "no text"),
    ],
)
def test_a_broken_seed_is_told_and_never_quoted(home: Home, data: bytes, told: str) -> None:
    create_home(home)
    home.seed.write_bytes(data)
    with pytest.raises(HomeError, match=told):
        read_seed(home)


@pytest.mark.parametrize("token", ["", "short", "with a space " * 4, "\x7f" * 40])
def test_a_token_that_anybody_could_guess_or_no_header_can_carry_is_refused(home: Home, token: str) -> None:
    create_home(home)
    home.token.write_text(token)
    with pytest.raises(HomeError, match="does not hold a token"):
        read_token(home)


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = Home(tmp_path / "file", tmp_path / "file")
    with pytest.raises(HomeError, match="cannot be set up"):
        create_home(home)
    with pytest.raises(HomeError, match="cannot be written"):
        DaemonLock(home)


# --- the lock --------------------------------------------------------------------------------------------------------


def test_a_running_daemon_tells_where_it_is_and_keeps_others_out(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LOCK_S", 0.05)
    create_home(home)
    assert running_daemon(home) is None
    lock = DaemonLock(home)
    assert running_daemon(home) is None  # it runs, but is not up yet
    lock.tell(http="127.0.0.1:1", peer=None, node_id="02" * 33)
    told = {"pid": os.getpid(), "http": "127.0.0.1:1", "peer": None, "node_id": "02" * 33}
    assert running_daemon(home) == told
    with pytest.raises(AlreadyRunning, match="runs in"):
        DaemonLock(home)
    assert running_daemon(home) == told
    lock.release()
    assert running_daemon(home) is None
    DaemonLock(home).release()


def test_what_a_killed_daemon_told_is_not_believed(home: Home) -> None:
    create_home(home)
    program = (
        "import sys, time; from pathlib import Path; from lnrecur.daemon.config import Home;"
        "from lnrecur.daemon.files import DaemonLock; path = Path(sys.argv[1]); lock = DaemonLock(Home(path, path));"
        "lock.tell(http='127.0.0.1:1', peer=None, node_id=''); print('up', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(home.data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"up\n"
        assert running_daemon(home) is not None
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
    assert b"127.0.0.1:1" in home.lock.read_bytes()
    assert running_daemon(home) is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"5", b"\xff"])
def test_a_lock_file_that_says_nothing_useful_is_no_daemon(home: Home, data: bytes) -> None:
    create_home(home)
    lock = DaemonLock(home)
    home.lock.write_bytes(data)
    assert running_daemon(home) is None
    lock.release()
