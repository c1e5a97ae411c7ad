"""lnrecur peers: listing, adding and removing, over real daemons."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.cli_daemon import NOBODY, Commands, commands
from helpers.daemons import Daemon

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lnrecur(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("peers")) as running:
        yield running


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("others")) as running:
        yield running


def _address(of: Commands) -> str:
    return of.daemon.address


def test_peers_are_added_listed_kept_over_a_restart_and_removed(lnrecur: Commands, other: Commands) -> None:
    assert lnrecur.ask("peers", "list")["peers"] == []
    assert "lnrecur peers add ID@HOST:PORT" in lnrecur.run("peers", "list").stdout

    address = _address(other)
    name = address[:12]
    added = lnrecur.run("peers", "add", address)
    assert (added.exit_code, added.stdout) == (0, f"{name}: connected; it is kept from now on\n")
    (row,) = [line for line in lnrecur.run("peers", "list").stdout.splitlines() if line.startswith(name)]
    assert "connected since" in row
    assert "we dialled" in row
    (theirs,) = other.ask("peers", "list")["peers"]
    assert (theirs["direction"], theirs["kept"]) == ("inbound", None)

    lnrecur.daemon.terminate()
    lnrecur.daemon.start()
    assert [(peer["address"], peer["kept"]) for peer in lnrecur.ask("peers", "list")["peers"]] == [(address, "added")]

    removed = lnrecur.run("peers", "remove", name)
    assert (removed.exit_code, removed.stdout) == (0, f"{name}: removed\n")
    assert lnrecur.ask("peers", "list")["peers"] == []


def test_a_peer_that_does_not_answer_is_kept_and_the_command_says_so(lnrecur: Commands) -> None:
    result = lnrecur.run("peers", "add", NOBODY)
    assert result.exit_code == 0
    assert f"{NOBODY[:12]}: kept, but not connected: connection refused\n" in result.stdout
    assert f"`lnrecur peers remove {NOBODY[:12]}` gives up" in result.stdout
    (row,) = [line for line in lnrecur.run("peers", "list").stdout.splitlines() if line.startswith(NOBODY[:12])]
    assert "next attempt" in row or "being dialled" in row
    assert lnrecur.ask("peers", "remove", NOBODY[:66])["removed"] is True


def test_an_onion_service_without_a_proxy_is_kept_and_told_the_way_out(lnrecur: Commands) -> None:
    hidden = "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrstuvwx.onion"
    result = lnrecur.run("peers", "add", f"{NOBODY[:66]}@{hidden}:9735")
    assert result.exit_code == 0
    assert "reached through Tor only: set socks5_proxy, for Tor's own 127.0.0.1:9050" in result.stdout
    assert lnrecur.ask("peers", "remove", NOBODY[:66])["removed"] is True


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("add", "alice"), "write ID@HOST:PORT"),
        (("remove", "ffff"), "no peer with an id that begins with 'ffff'"),
        (("remove", "alice"), "is no id"),
    ],
)
def test_what_cannot_be_is_refused(lnrecur: Commands, args: tuple[str, ...], told: str) -> None:
    result = lnrecur.run("peers", *args)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_peer_of_the_settings_is_kept_from_the_start_and_not_removed(other: Commands, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "home", tmp_path / "money.sqlite", f'peers = ["{_address(other)}"]')
    daemon.start()
    try:
        mine = Commands(daemon)
        (peer,) = mine.ask("peers", "list")["peers"]
        assert peer["kept"] == "config"
        result = mine.run("peers", "remove", peer["node_id"])
        assert result.exit_code == 2
        assert "take it out of `peers`" in result.stderr
    finally:
        daemon.terminate()
