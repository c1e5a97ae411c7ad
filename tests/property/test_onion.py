"""Whatever bytes a stranger sends as an onion, a path key, a layer or a hop's data: refused by name, or read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import LnrecurError
from lnrecur.messaging.errors import MessagingError
from lnrecur.messaging.messenger import (
    ContentsKind,
    Delivered,
    DirectDestination,
    MessageContents,
    Messenger,
)
from lnrecur.onion.blinding import blind_path
from lnrecur.onion.payloads import EncryptedData, OnionMessagePayload
from lnrecur.onion.payment_path import open_final_hop
from lnrecur.onion.payment_payloads import FinalPaymentPayload, RelayPaymentPayload
from lnrecur.onion.sphinx import peel, wrap
from lnrecur.values import Point
from lnrecur.wire.blinded_path import BlindedHop, BlindedPath
from lnrecur.wire.messages import OnionMessage
from lnrecur.wire.tlv import TlvRecord, TlvStream

BOB_KEY, ALICE_KEY = PrivateKey(b"\x42" * 32), PrivateKey(b"\x41" * 32)
ALICE, BOB = Messenger(ALICE_KEY), Messenger(BOB_KEY)
SESSION = PrivateKey(b"\x07" * 32)
WHOLE = ALICE.compose(DirectDestination(BOB.node_id), MessageContents(ContentsKind.INVOICE, b"lni"), bytes(64)).message

points = st.one_of(
    st.binary(max_size=40),
    st.binary(min_size=32, max_size=32).map(b"\x02".__add__),
    st.sampled_from([SESSION.point, bytes(33)]),
)
known_types = st.sampled_from([1, 2, 4, 6, 8, 10, 12, 14, 18, 64, 66, 68, 561])
values = st.one_of(st.binary(max_size=60), st.sampled_from([SESSION.point, bytes(8), b""]))
records = st.dictionaries(known_types, values, max_size=6)


def stream_of(fields: dict[int, bytes]) -> bytes:
    return TlvStream([TlvRecord.of(number, value) for number, value in fields.items()]).to_bytes()


streams = records.map(stream_of)


@given(points, st.one_of(st.binary(max_size=200), st.binary(min_size=1366, max_size=1366), st.just(WHOLE.onion)))
def test_any_bytes_as_a_message_are_refused_as_messaging_errors(path_key: bytes, onion: bytes) -> None:
    try:
        outcome = BOB.receive(OnionMessage(Point(path_key), onion))
    except MessagingError:
        return
    assert outcome is None, "nobody guesses a message"


@given(st.integers(0, len(WHOLE.onion) - 1), st.integers(1, 255))
def test_no_byte_of_an_onion_can_be_changed(offset: int, change: int) -> None:
    onion = bytearray(WHOLE.onion)
    onion[offset] ^= change
    try:
        outcome = BOB.receive(OnionMessage(WHOLE.path_key, bytes(onion)))
    except MessagingError:
        return
    assert outcome is None, "a changed onion was accepted"


@given(records, st.one_of(streams, st.binary(max_size=80)), st.booleans())
def test_any_inside_of_an_authentic_message_is_read_or_refused_as_a_messaging_error(
    fields: dict[int, bytes], told: bytes, last: bool
) -> None:
    """The sender is a stranger too: what is authentic may still be nonsense."""
    path = blind_path(SESSION, [(BOB.node_id, told)])
    layer = stream_of(fields | {4: path.hops[0].encrypted_recipient_data})
    hops = [(path.hops[0].blinded_node_id, layer)]
    if not last:
        hops.append((ALICE_KEY.point, b"nobody opens this"))
    try:
        outcome = BOB.receive(OnionMessage(path.first_path_key, wrap(SESSION, hops)))
    except MessagingError:
        return
    assert isinstance(outcome, Delivered) == last


@given(points, points, points, st.lists(st.binary(max_size=80), max_size=4))
def test_any_path_from_a_stranger_is_composed_for_or_refused_as_a_messaging_error(
    introduction: bytes, path_key: bytes, blinded: bytes, data: list[bytes]
) -> None:
    hops = tuple(BlindedHop(Point(blinded), one) for one in data)
    path = BlindedPath(Point(introduction), Point(path_key), hops)
    try:
        outgoing = ALICE.compose(path, MessageContents(ContentsKind.INVOICE, b"lni"), bytes(64), via=[BOB.node_id])
    except MessagingError:
        return
    assert outgoing.first_hop == BOB.node_id


@given(st.one_of(streams, st.binary(max_size=200)))
def test_what_a_payload_reader_accepts_it_writes_back_byte_for_byte(data: bytes) -> None:
    for kind in (EncryptedData, OnionMessagePayload, RelayPaymentPayload, FinalPaymentPayload):
        try:
            read = kind.from_bytes(data)
        except LnrecurError:
            continue
        assert read.to_bytes() == data


@given(points, st.binary(max_size=100), st.binary(max_size=1500))
def test_any_bytes_as_a_payment_are_refused_by_name(path_key: bytes, encrypted: bytes, onion: bytes) -> None:
    for attempt in (
        lambda: open_final_hop(BOB_KEY, Point(path_key), encrypted),
        lambda: peel(BOB_KEY, onion, associated_data=bytes(32)),
    ):
        try:
            attempt()
        except LnrecurError:
            continue
        raise AssertionError("nobody guesses a payment")
