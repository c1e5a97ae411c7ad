"""The book of peers: what survives a restart, and what the settings have the say about."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.links import ALICE, BOB, CAROL, HOST, SETTINGS, address_of, open_link, until
from lnrecur.adapters.link import TcpPeerLink
from lnrecur.adapters.router import StaticRouter
from lnrecur.crypto.keys import PrivateKey
from lnrecur.daemon import peer_book
from lnrecur.daemon.files import HomeError
from lnrecur.daemon.peer_book import ADDED, CONFIG, PeerBook
from lnrecur.errors import UsageError
from lnrecur.ports import PeerAddress
from lnrecur.values import NodeId


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "peers.json"


def _nowhere(key: PrivateKey = BOB, port: int = 1) -> PeerAddress:
    return PeerAddress(NodeId(key.point), HOST, port)


def _book(link: TcpPeerLink, path: Path, *configured: PeerAddress) -> PeerBook:
    book = PeerBook(link, StaticRouter(), configured, path)
    link.start()
    return book


async def test_a_peer_that_was_added_is_connected_and_kept_after_a_restart(path: Path) -> None:
    async with open_link(BOB) as (bob, _):
        address = await address_of(bob)
        async with open_link(ALICE) as (alice, _):
            listed, problem = await _book(alice, path).add(address)
            assert (listed.source, listed.status.outbound, problem) == (ADDED, True, None)
        async with open_link(ALICE) as (alice, _):
            book = _book(alice, path)
            await until(lambda: alice.peers() == {bob.node_id})
            assert book.kept() == [bob.node_id]


async def test_a_peer_that_cannot_be_reached_is_kept_all_the_same_and_says_why(path: Path) -> None:
    async with open_link(ALICE) as (alice, _):
        book = _book(alice, path)
        listed, problem = await book.add(_nowhere())
        assert problem is not None
        assert str(_nowhere()) in problem
        assert listed.status.where is None
        assert [one.source for one in book.listed()] == [ADDED]
    assert json.loads(path.read_text()) == {"version": 1, "peers": [str(_nowhere())]}


async def test_a_dial_that_takes_long_is_told_as_such_and_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_book, "_PATIENCE_S", 0.0)
    async with open_link(BOB) as (bob, _), open_link(ALICE) as (alice, _):
        _, problem = await _book(alice, path).add(await address_of(bob))
        assert problem == "no answer within 0 s, the dial goes on"
        await until(lambda: alice.peers() == {bob.node_id})


async def test_the_file_is_for_its_owner_only_and_nothing_is_left_beside_it(path: Path) -> None:
    async with open_link(ALICE) as (alice, _):
        book = _book(alice, path)
        await book.add(_nowhere())
        await book.add(_nowhere(CAROL))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["peers.json"]


async def test_adding_a_peer_again_changes_its_address(path: Path) -> None:
    async with open_link(BOB) as (bob, _), open_link(ALICE) as (alice, _):
        address = await address_of(bob)
        book = _book(alice, path)
        await book.add(_nowhere())
        _, problem = await book.add(address)
        assert problem is None
        assert [one.status.address for one in book.listed()] == [address]
    assert json.loads(path.read_text())["peers"] == [str(address)]


async def test_removing_an_added_peer_hangs_up_and_is_remembered(path: Path) -> None:
    async with open_link(BOB) as (bob, _), open_link(ALICE) as (alice, _):
        book = _book(alice, path)
        await book.add(await address_of(bob))
        book.remove(bob.node_id)
        assert book.kept() == []
        assert json.loads(path.read_text())["peers"] == []
        await until(lambda: not alice.peers() and not bob.peers())


async def test_what_the_settings_name_cannot_be_removed_or_moved_while_the_daemon_runs(path: Path) -> None:
    async with open_link(ALICE) as (alice, _):
        book = _book(alice, path, _nowhere())
        with pytest.raises(UsageError, match="take it out of `peers` there"):
            book.remove(_nowhere().node_id)
        with pytest.raises(UsageError, match="change it there, in `peers`"):
            await book.add(_nowhere(port=2))
        listed, problem = await book.add(_nowhere())
        assert listed.source == CONFIG
        assert problem is not None
    assert not path.exists()


async def test_where_the_settings_keep_a_peer_is_told_as_they_write_it(path: Path) -> None:
    async with open_link(ALICE) as (alice, _):
        book = _book(alice, path, replace(_nowhere(), host="::1"))
        with pytest.raises(UsageError, match=r"keep this peer at \[::1\]:1: change it there"):
            await book.add(_nowhere())


async def test_the_settings_win_over_the_file(path: Path) -> None:
    path.write_text(json.dumps({"version": 1, "peers": [str(_nowhere(port=2)), str(_nowhere(CAROL))]}))
    async with open_link(ALICE) as (alice, _):
        book = _book(alice, path, _nowhere(port=3))
        assert [(one.status.address, one.source) for one in book.listed()] == [
            (_nowhere(port=3), CONFIG),
            (_nowhere(CAROL), ADDED),
        ]


async def test_a_peer_that_came_by_itself_is_listed_and_cannot_be_removed(path: Path) -> None:
    async with open_link(BOB) as (bob, _), open_link(ALICE) as (alice, _):
        book = _book(bob, path)
        await alice.reach(await address_of(bob))
        await until(lambda: bool(bob.peers()))
        assert [(one.status.node_id, one.source) for one in book.listed()] == [(alice.node_id, None)]
        with pytest.raises(UsageError, match="it came by itself"):
            book.remove(alice.node_id)


async def test_this_node_itself_is_not_added(path: Path) -> None:
    async with open_link(ALICE) as (alice, _):
        with pytest.raises(UsageError, match="this node itself"):
            await _book(alice, path).add(_nowhere(ALICE))
    assert not path.exists()


async def test_more_peers_than_may_be_kept_are_refused_and_the_file_stays_as_it_was(path: Path) -> None:
    async with open_link(ALICE) as (alice, _):
        book = _book(alice, path)
        for number in range(SETTINGS.kept_max):
            await book.add(_nowhere(PrivateKey((100 + number).to_bytes(32, "big"))))
        before = path.read_text()
        with pytest.raises(UsageError, match="remove one first"):
            await book.add(_nowhere())
        assert path.read_text() == before
        assert len(book.kept()) == SETTINGS.kept_max


async def test_a_file_that_cannot_be_written_changes_nothing(path: Path) -> None:
    async with open_link(ALICE) as (alice, _):
        book = _book(alice, path / "missing" / "peers.json")
        with pytest.raises(HomeError, match="cannot be written"):
            await book.add(_nowhere())
        assert book.listed() == []


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "null", '{"version": 1}', '{"version": 1, "peers": [5]}', '{"version": 1, "peers": ["alice"]}'],
)
async def test_a_file_that_holds_no_peers_is_named_with_the_way_out(path: Path, text: str) -> None:
    path.write_text(text)
    async with open_link(ALICE) as (alice, _):
        with pytest.raises(HomeError, match="mend it, or remove it") as raised:
            _book(alice, path)
    assert str(path) in str(raised.value)


async def test_a_file_of_a_later_version_is_left_alone(path: Path) -> None:
    path.write_text('{"version": 2, "peers": []}')
    async with open_link(ALICE) as (alice, _):
        with pytest.raises(HomeError, match="version 2"):
            _book(alice, path)


async def test_a_folder_in_place_of_the_file_is_named(path: Path) -> None:
    path.mkdir()
    async with open_link(ALICE) as (alice, _):
        with pytest.raises(HomeError, match="cannot be read"):
            _book(alice, path)


async def test_the_router_learns_where_kept_peers_are(path: Path) -> None:
    path.write_text(json.dumps({"version": 1, "peers": [str(_nowhere())]}))
    router = StaticRouter()
    async with open_link(ALICE) as (alice, _):
        book = PeerBook(alice, router, [], path)
        await book.add(_nowhere(CAROL))
    assert router.address(_nowhere().node_id) == _nowhere()
    assert router.address(_nowhere(CAROL).node_id) == _nowhere(CAROL)
