"""The subtype `blinded_path`, in both forms of its introduction, and the cursor that reads it."""

import pytest

from lnrecur.crypto.keys import PrivateKey
from lnrecur.values import ShortChannelId
from lnrecur.wire.blinded_path import (
    BlindedHop,
    BlindedPath,
    ChannelDirection,
    read_blinded_path,
    read_blinded_paths,
    write_blinded_paths,
)
from lnrecur.wire.errors import WireError
from lnrecur.wire.reader import ByteReader

ALICE, BOB, CAROL = (PrivateKey(bytes((number,)) * 32).point for number in (0x41, 0x42, 0x43))
HOPS = (BlindedHop(BOB, b"for bob"), BlindedHop(CAROL, b""))
BY_NODE = BlindedPath(ALICE, BOB, HOPS)
BY_CHANNEL = BlindedPath(ChannelDirection(ShortChannelId(1 << 40 | 2 << 16 | 3), 1), BOB, HOPS[:1])


@pytest.mark.parametrize("path", [BY_NODE, BY_CHANNEL, BlindedPath(ALICE, BOB, ())])
def test_a_path_comes_back(path: BlindedPath) -> None:
    reader = ByteReader(path.to_bytes() + b"rest")
    assert read_blinded_path(reader) == path
    assert reader.rest() == b"rest"


def test_a_channel_end_is_a_direction_and_eight_bytes() -> None:
    assert BY_CHANNEL.to_bytes().startswith(bytes.fromhex("010000010000020003") + BOB)
    assert BY_NODE.to_bytes().startswith(ALICE + BOB + b"\x02" + BOB + b"\0\7for bob")


def test_paths_follow_one_another() -> None:
    paths = (BY_NODE, BY_CHANNEL, BY_NODE)
    assert read_blinded_paths(write_blinded_paths(paths)) == paths
    assert read_blinded_paths(b"") == ()
    assert write_blinded_paths(()) == b""


@pytest.mark.parametrize("path", [BY_NODE, BY_CHANNEL])
def test_a_truncated_path_says_where_and_what_was_read(path: BlindedPath) -> None:
    data = path.to_bytes()
    for cut in range(1, len(data)):
        with pytest.raises(WireError, match="but only") as failure:
            read_blinded_paths(data[:cut])
        assert failure.value.offset is not None
        assert failure.value.offset <= cut


@pytest.mark.parametrize("first", [4, 5, 0xFF])
def test_an_introduction_is_a_point_or_a_channel_end(first: int) -> None:
    with pytest.raises(WireError, match="0 or 1 for a channel end, 2 or 3 for a point") as failure:
        read_blinded_paths(BY_NODE.to_bytes() + bytes((first,)) + bytes(80))
    assert failure.value.offset == len(BY_NODE.to_bytes())


def test_a_reader_says_what_ran_out() -> None:
    reader = ByteReader(b"\1\2\3")
    assert reader.integer(2, "a number") == 0x0102
    assert not reader.exhausted
    with pytest.raises(WireError, match="a key takes 33 bytes, but only 1 are left at offset 2"):
        reader.take(33, "a key")
    assert reader.offset == 2
    with pytest.raises(WireError, match="1 bytes too many behind the number at offset 2"):
        reader.finish("the number")
    assert reader.rest() == b"\3"
    assert reader.exhausted
    reader.finish("everything")
