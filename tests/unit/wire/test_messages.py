"""BOLT 1 and BOLT 4 messages: bytes written out by hand from the specification's layouts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.values import BITCOIN, REGTEST, ChainHash, Point
from lnrecur.wire.errors import WireError
from lnrecur.wire.messages import (
    ErrorMessage,
    Init,
    Message,
    OnionMessage,
    Ping,
    Pong,
    UnknownMessage,
    WarningMessage,
    read_message,
)

PATH_KEY = Point(b"\x02" + bytes(32))
CHANNEL = bytes(range(32))

LAYOUTS = [
    (Init(bytes.fromhex("800000a202"), (REGTEST,)), "0010 0000 0005 800000a202 01 20" + REGTEST.hex()),
    (Init(b""), "0010 0000 0000"),
    (ErrorMessage("no"), "0011" + 64 * "0" + "0002" + b"no".hex()),
    (WarningMessage("hm"), "0001" + 64 * "0" + "0002" + b"hm".hex()),
    (ErrorMessage("no", CHANNEL), "0011" + CHANNEL.hex() + "0002" + b"no".hex()),
    (WarningMessage("hm", CHANNEL), "0001" + CHANNEL.hex() + "0002" + b"hm".hex()),
    (Ping(16, 2), "0012 0010 0002 0000"),
    (Pong(3), "0013 0003 000000"),
    (OnionMessage(PATH_KEY, b"\xaa\xbb"), "0201" + PATH_KEY.hex() + "0002 aabb"),
]


@pytest.mark.parametrize(("message", "layout"), LAYOUTS, ids=[type(message).__name__ for message, _ in LAYOUTS])
def test_a_message_is_written_and_read_as_the_specification_lays_it_out(message: Message, layout: str) -> None:
    assert not isinstance(message, UnknownMessage)
    assert message.to_bytes() == bytes.fromhex(layout)
    assert read_message(bytes.fromhex(layout)) == message


@pytest.mark.parametrize(("message", "layout"), LAYOUTS[2:], ids=[type(message).__name__ for message, _ in LAYOUTS[2:]])
def test_bytes_behind_the_known_fields_are_an_extension_we_may_ignore(message: Message, layout: str) -> None:
    assert read_message(bytes.fromhex(layout) + b"\x01\x01\x07") == message


@pytest.mark.parametrize(("message", "layout"), LAYOUTS, ids=[type(message).__name__ for message, _ in LAYOUTS])
def test_every_truncation_is_refused(message: Message, layout: str) -> None:
    data = bytes.fromhex(layout)
    whole = len(Init(message.features).to_bytes()) if isinstance(message, Init) else len(data)
    for size in range(len(data)):
        if size == whole:
            continue  # an init without its networks is an init
        with pytest.raises(WireError):
            read_message(data[:size])


def test_the_two_feature_maps_of_init_are_joined() -> None:
    assert read_message(bytes.fromhex("0010 0002 2200 0003 080001")) == Init(bytes.fromhex("082201"))


def test_leading_zeros_of_features_do_not_matter() -> None:
    assert read_message(bytes.fromhex("0010 0000 0004 00000001")) == Init(b"\x01")


def test_init_names_each_of_its_networks() -> None:
    init = Init(b"\x02", (BITCOIN, REGTEST))
    assert read_message(init.to_bytes()) == init


@pytest.mark.parametrize("size", [1, 31, 33])
def test_networks_that_are_no_list_of_hashes_are_refused(size: int) -> None:
    with pytest.raises(WireError, match="32-byte chain hashes") as failure:
        read_message(bytes.fromhex("0010 0000 0000 01") + bytes([size]) + bytes(size))
    assert failure.value.tlv_type == 1


def test_an_unknown_even_field_of_init_is_refused_and_an_odd_one_is_not() -> None:
    with pytest.raises(WireError, match="even field") as failure:
        read_message(bytes.fromhex("0010 0000 0000 0200"))
    assert failure.value.tlv_type == 2
    assert read_message(bytes.fromhex("0010 0000 0000 03020102 0700")) == Init(b"")


@pytest.mark.parametrize(("bit", "offered"), [(38, True), (39, True), (37, False), (40, False)])
def test_a_feature_is_offered_by_either_of_its_bits(bit: int, offered: bool) -> None:
    assert Init((1 << bit).to_bytes(8, "big")).has_feature(38) is offered


@pytest.mark.parametrize(("number", "ignored"), [(2, False), (3, True), (514, False), (65535, True)])
def test_it_is_ok_to_be_odd(number: int, ignored: bool) -> None:
    message = read_message(number.to_bytes(2, "big") + b"body")
    assert message == UnknownMessage(number, b"body")
    assert isinstance(message, UnknownMessage)
    assert message.may_be_ignored is ignored


def test_a_peers_text_is_printable_when_we_hold_it() -> None:
    data = b"\0\x11" + bytes(32) + b"\0\x09" + b"a\x1b[2J\n\xff\xfeb"
    assert read_message(data) == ErrorMessage("a\ufffd[2J\ufffd\ufffd\ufffdb")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_wire_error(data: bytes) -> None:
    try:
        message = read_message(data)
    except WireError:
        return
    if not isinstance(message, UnknownMessage):
        assert read_message(message.to_bytes()) == message


@given(features=st.binary(max_size=12), networks=st.lists(st.binary(min_size=32, max_size=32), max_size=3))
def test_init_survives_the_round_trip(features: bytes, networks: list[bytes]) -> None:
    init = Init(features.lstrip(b"\0"), tuple(map(ChainHash, networks)))
    assert read_message(init.to_bytes()) == init
