"""Messengers joined without a network: what one composes, the others pass on and the last one reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import UsageError
from lnrecur.messaging.messenger import (
    DUMMY_HOPS_MAX,
    ContentsKind,
    Delivered,
    DestinationIsOurselves,
    DestinationUnusable,
    DirectDestination,
    Entry,
    Forward,
    IntroductionUnresolved,
    MessageContents,
    MessageTooLong,
    MessageUnreadable,
    Messenger,
    OutgoingMessage,
    TooManyDummyHops,
)
from lnrecur.onion.blinding import blind_path
from lnrecur.onion.message_path import MessageRoute
from lnrecur.onion.payloads import EncryptedData, OnionMessagePayload
from lnrecur.onion.sphinx import wrap
from lnrecur.values import NodeId, Point, ShortChannelId
from lnrecur.wire.blinded_path import BlindedPath, ChannelDirection
from lnrecur.wire.messages import OnionMessage
from lnrecur.wire.tlv import TlvRecord

KEYS = {name: PrivateKey(bytes([0x41 + number]) * 32) for number, name in enumerate(("alice", "bob", "carol", "dave"))}
ALICE, BOB, CAROL, DAVE = (Messenger(key) for key in KEYS.values())
EVERYBODY = {who.node_id: who for who in (ALICE, BOB, CAROL, DAVE)}

SESSION = PrivateKey(b"\x07" * 32)
ENTROPY = bytes(range(64))
PATH_ID = bytes(range(100, 132))
REQUEST = MessageContents(ContentsKind.INVOICE_REQUEST, b"an invoice request")
INVOICE = MessageContents(ContentsKind.INVOICE, b"an invoice")


def carry(outgoing: OutgoingMessage, passed: list[Messenger] | None = None) -> tuple[Messenger, Delivered]:
    """Hand a message on until somebody keeps it; the wire's bytes in between."""
    node, message = outgoing.first_hop, outgoing.message
    while True:
        outcome = EVERYBODY[node].receive(message)
        if isinstance(outcome, Delivered):
            return EVERYBODY[node], outcome
        assert isinstance(outcome.next_node, bytes)
        if passed is not None:
            passed.append(EVERYBODY[node])
        node, message = outcome.next_node, outcome.message


# --- arriving --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(ContentsKind))
def test_a_message_to_a_plain_node_arrives_without_a_path_id(kind: ContentsKind) -> None:
    contents = MessageContents(kind, b"said")
    outgoing = ALICE.compose(DirectDestination(BOB.node_id), contents, ENTROPY)
    assert outgoing.first_hop == BOB.node_id
    who, delivered = carry(outgoing)
    assert who is BOB
    assert delivered == Delivered(contents, None, None, KEYS["bob"])


def test_a_message_to_a_plain_node_behind_others_is_passed_on() -> None:
    passed: list[Messenger] = []
    via = [BOB.node_id, CAROL.node_id]
    outgoing = ALICE.compose(DirectDestination(DAVE.node_id), REQUEST, ENTROPY, via=via)
    who, delivered = carry(outgoing, passed)
    assert (who, passed) == (DAVE, [BOB, CAROL])
    assert (delivered.contents, delivered.path_id) == (REQUEST, None)


def test_a_path_of_one_hop_brings_its_path_id_back_and_names_its_blinded_key() -> None:
    path = DAVE.reply_path(PATH_ID, SESSION)
    assert path.first_node_id == KEYS["dave"].point
    who, delivered = carry(ALICE.compose(path, REQUEST, ENTROPY))
    assert (who, delivered.path_id) == (DAVE, PATH_ID)
    assert delivered.addressed.point == path.hops[-1].blinded_node_id


def test_a_path_whose_introduction_is_elsewhere_is_walked_to_its_end() -> None:
    path = DAVE.reply_path(PATH_ID, SESSION, via=[BOB.node_id, CAROL.node_id])
    assert ALICE.entry(path) == Entry(BOB.node_id, is_last=False)
    passed: list[Messenger] = []
    who, delivered = carry(ALICE.compose(path, REQUEST, ENTROPY), passed)
    assert (who, passed) == (DAVE, [BOB, CAROL])
    assert (delivered.contents, delivered.path_id) == (REQUEST, PATH_ID)
    assert delivered.addressed.point == path.hops[-1].blinded_node_id


def test_plain_nodes_before_the_introduction_join_the_path() -> None:
    path = DAVE.reply_path(PATH_ID, SESSION, via=[CAROL.node_id])
    passed: list[Messenger] = []
    outgoing = ALICE.compose(path, REQUEST, ENTROPY, via=[BOB.node_id])
    assert outgoing.first_hop == BOB.node_id
    who, delivered = carry(outgoing, passed)
    assert (who, passed, delivered.path_id) == (DAVE, [BOB, CAROL], PATH_ID)


def test_the_data_of_all_hops_of_a_path_is_equally_long() -> None:
    path = DAVE.reply_path(PATH_ID, SESSION, via=[BOB.node_id, CAROL.node_id])
    assert len({len(hop.encrypted_recipient_data) for hop in path.hops}) == 1


def test_a_reply_travels_back_along_the_reply_path() -> None:
    reply_path = ALICE.reply_path(PATH_ID, SESSION, via=[BOB.node_id])
    offer_path = DAVE.reply_path(bytes(32), PrivateKey(b"\x08" * 32), via=[CAROL.node_id])
    payee, request = carry(ALICE.compose(offer_path, REQUEST, ENTROPY, reply_path, via=[BOB.node_id]))
    assert request.reply_path == reply_path
    payer, answer = carry(payee.compose(request.reply_path, INVOICE, ENTROPY[::-1], via=[CAROL.node_id]))
    assert payer is ALICE
    assert (answer.contents, answer.path_id, answer.reply_path) == (INVOICE, PATH_ID, None)


def test_the_same_entropy_gives_the_same_bytes_and_other_entropy_others() -> None:
    first = ALICE.compose(DirectDestination(BOB.node_id), REQUEST, ENTROPY)
    assert first == ALICE.compose(DirectDestination(BOB.node_id), REQUEST, ENTROPY)
    assert first != ALICE.compose(DirectDestination(BOB.node_id), REQUEST, ENTROPY[::-1])


def test_small_contents_take_the_small_onion_and_twenty_kilobytes_the_big_one() -> None:
    small = ALICE.compose(DirectDestination(BOB.node_id), REQUEST, ENTROPY)
    contents = MessageContents(ContentsKind.INVOICE, bytes(20_000))
    big = ALICE.compose(DirectDestination(DAVE.node_id), contents, ENTROPY, via=[BOB.node_id])
    assert (len(small.message.onion), len(big.message.onion)) == (1366, 32834)
    assert len(big.message.to_bytes()) < 65536
    assert carry(big)[1].contents == contents


# --- the sender on the path -------------------------------------------------------------------------------------------


def test_a_path_that_begins_at_the_sender_is_entered_behind_it() -> None:
    path = DAVE.reply_path(PATH_ID, SESSION, via=[ALICE.node_id, BOB.node_id])
    assert ALICE.entry(path) == Entry(BOB.node_id, is_last=False)
    outgoing = ALICE.compose(path, REQUEST, ENTROPY)
    assert outgoing.first_hop == BOB.node_id
    who, delivered = carry(outgoing)
    assert (who, delivered.path_id) == (DAVE, PATH_ID)


def test_a_path_that_begins_at_the_sender_honours_an_override_of_the_path_key() -> None:
    rest = DAVE.reply_path(PATH_ID, SESSION)
    joint = EncryptedData(next_node_id=DAVE.node_id, next_path_key_override=rest.first_path_key)
    front = blind_path(PrivateKey(b"\x08" * 32), [(ALICE.node_id, joint.to_bytes())])
    who, delivered = carry(ALICE.compose(replace(front, hops=front.hops + rest.hops), REQUEST, ENTROPY))
    assert (who, delivered.path_id) == (DAVE, PATH_ID)


@pytest.mark.parametrize("via", [[], [ALICE.node_id]])
def test_a_path_that_ends_at_the_sender_is_refused(via: list[NodeId]) -> None:
    path = ALICE.reply_path(PATH_ID, SESSION, via=via)
    with pytest.raises(DestinationIsOurselves):
        ALICE.compose(path, REQUEST, ENTROPY)
    with pytest.raises(DestinationIsOurselves):
        ALICE.entry(path)


def test_a_message_to_the_senders_own_node_is_refused() -> None:
    with pytest.raises(DestinationIsOurselves):
        ALICE.compose(DirectDestination(ALICE.node_id), REQUEST, ENTROPY)
    with pytest.raises(DestinationIsOurselves):
        ALICE.entry(DirectDestination(ALICE.node_id))
    assert ALICE.entry(DirectDestination(BOB.node_id)) == Entry(BOB.node_id, is_last=True)


def test_a_path_that_begins_at_the_sender_and_does_not_open_is_refused() -> None:
    path = DAVE.reply_path(PATH_ID, SESSION, via=[ALICE.node_id])
    with pytest.raises(DestinationUnusable, match="cannot be followed"):
        ALICE.compose(replace(path, first_path_key=KEYS["bob"].point), REQUEST, ENTROPY)


def test_a_path_that_goes_on_from_the_sender_over_a_channel_is_told_by_its_number() -> None:
    over = EncryptedData(short_channel_id=ShortChannelId(103 << 40 | 2 << 16 | 1))
    path = blind_path(SESSION, [(ALICE.node_id, over.to_bytes()), (DAVE.node_id, b"")])
    with pytest.raises(IntroductionUnresolved, match="103x2x1"):
        ALICE.compose(path, REQUEST, ENTROPY)


# --- introductions named by a channel ---------------------------------------------------------------------------------


def test_an_introduction_named_by_a_channel_is_resolved_by_those_who_know_it() -> None:
    end = ChannelDirection(ShortChannelId(103 << 40 | 2 << 16 | 1), 1)
    path = replace(DAVE.reply_path(PATH_ID, SESSION, via=[BOB.node_id]), first_node_id=end)
    with pytest.raises(IntroductionUnresolved, match="103x2x1") as caught:
        ALICE.compose(path, REQUEST, ENTROPY)
    assert caught.value.channel == end
    known: Mapping[ChannelDirection, NodeId] = {end: BOB.node_id}
    assert ALICE.entry(path, known) == Entry(BOB.node_id, is_last=False)
    who, delivered = carry(ALICE.compose(path, REQUEST, ENTROPY, channels=known))
    assert (who, delivered.path_id) == (DAVE, PATH_ID)


# --- misuse ----------------------------------------------------------------------------------------------------------


def test_a_path_id_of_another_length_is_refused() -> None:
    with pytest.raises(UsageError, match="32 bytes"):
        ALICE.reply_path(b"short", SESSION)


def test_too_little_entropy_is_refused() -> None:
    with pytest.raises(UsageError, match="entropy"):
        ALICE.compose(DirectDestination(BOB.node_id), REQUEST, bytes(63))


def test_contents_beyond_the_big_onion_are_refused() -> None:
    with pytest.raises(MessageTooLong, match="32768"):
        ALICE.compose(DirectDestination(BOB.node_id), MessageContents(ContentsKind.INVOICE, bytes(33_000)), ENTROPY)


NO_POINT = Point(b"\x02" + bytes(32))


def test_a_destination_that_is_no_point_or_has_no_hops_is_refused() -> None:
    path = DAVE.reply_path(PATH_ID, SESSION)
    hops = (replace(path.hops[0], blinded_node_id=NO_POINT),)
    for bad in (DirectDestination(NodeId(NO_POINT)), replace(path, hops=()), replace(path, hops=hops)):
        with pytest.raises(DestinationUnusable):
            ALICE.compose(bad, REQUEST, ENTROPY)
    with pytest.raises(DestinationUnusable):
        ALICE.reply_path(PATH_ID, SESSION, via=[NO_POINT])


# --- what is refused on arrival ---------------------------------------------------------------------------------------


def test_a_tampered_onion_is_refused() -> None:
    message = ALICE.compose(DirectDestination(BOB.node_id), REQUEST, ENTROPY).message
    for offset in (0, 5, 100, 1365):
        onion = bytearray(message.onion)
        onion[offset] ^= 1
        with pytest.raises(MessageUnreadable):
            BOB.receive(replace(message, onion=bytes(onion)))


def test_a_message_for_somebody_else_or_with_another_path_key_is_refused() -> None:
    message = ALICE.compose(DirectDestination(BOB.node_id), REQUEST, ENTROPY).message
    with pytest.raises(MessageUnreadable):
        CAROL.receive(message)
    with pytest.raises(MessageUnreadable):
        BOB.receive(replace(message, path_key=SESSION.point))
    with pytest.raises(MessageUnreadable):
        BOB.receive(replace(message, path_key=NO_POINT))


def to_bob(data: EncryptedData, payload: OnionMessagePayload, *, more_hops: bool = False) -> OnionMessage:
    """A message whose every word is ours to choose, with Carol behind Bob if asked for."""
    path = blind_path(SESSION, [(BOB.node_id, data.to_bytes()), (CAROL.node_id, b"")])
    first = replace(payload, encrypted_recipient_data=path.hops[0].encrypted_recipient_data).to_bytes()
    hops = [(path.hops[0].blinded_node_id, first)]
    if more_hops:
        hops.append((path.hops[1].blinded_node_id, OnionMessagePayload(b"").to_bytes()))
    return OnionMessage(path.first_path_key, wrap(SESSION, hops))


NOTHING = OnionMessagePayload(b"")
ON_TO_CAROL = EncryptedData(next_node_id=CAROL.node_id)


@pytest.mark.parametrize(
    ("data", "payload", "more_hops", "told"),
    [
        (EncryptedData(path_id=b"id"), NOTHING, True, "where to forward"),
        (replace(ON_TO_CAROL, path_id=b"id"), NOTHING, True, "path_id"),
        (ON_TO_CAROL, replace(NOTHING, invoice=b"lni"), True, "nothing else"),
        (ON_TO_CAROL, replace(NOTHING, invoice=b"lni"), False, "names a next"),
        (EncryptedData(allowed_features=b"\x01"), replace(NOTHING, invoice=b"lni"), False, "allowed_features"),
        (EncryptedData(), replace(NOTHING, invoice=b"lni", invoice_error=b""), False, "carries one of"),
        (EncryptedData(), replace(NOTHING, unknown=(TlvRecord.of(70, b""),)), False, "TLV type 70"),
    ],
)
def test_what_bolt_4_says_to_ignore_is_refused_with_the_reason(
    data: EncryptedData, payload: OnionMessagePayload, more_hops: bool, told: str
) -> None:
    with pytest.raises(MessageUnreadable, match=told):
        BOB.receive(to_bob(data, payload, more_hops=more_hops))


def test_a_layer_without_encrypted_data_is_refused() -> None:
    path = blind_path(SESSION, [(BOB.node_id, b"")])
    onion = wrap(SESSION, [(path.hops[0].blinded_node_id, TlvRecord.of(66, b"lni").raw)])
    with pytest.raises(MessageUnreadable, match="missing"):
        BOB.receive(OnionMessage(path.first_path_key, onion))


def test_a_message_that_goes_on_over_a_channel_says_which() -> None:
    number = ShortChannelId(103 << 40 | 2 << 16 | 1)
    outcome = BOB.receive(to_bob(EncryptedData(short_channel_id=number), NOTHING, more_hops=True))
    assert isinstance(outcome, Forward)
    assert outcome.next_node == number


def test_contents_beside_unknown_odd_records_are_delivered_with_them() -> None:
    record = TlvRecord.of(65, b"odd")
    delivered = BOB.receive(to_bob(EncryptedData(), replace(NOTHING, invoice=b"lni", unknown=(record,))))
    assert isinstance(delivered, Delivered)
    assert delivered.contents == MessageContents(ContentsKind.INVOICE, b"lni")
    assert delivered.unknown == (record,)


# --- dummy hops ------------------------------------------------------------------------------------------------------


def with_dummy_hops(count: int) -> OnionMessage:
    path: BlindedPath = BOB.reply_path(PATH_ID, SESSION, via=[BOB.node_id] * count)
    route = MessageRoute(BOB.node_id, path.first_path_key, path.hops)
    return route.wrap(SESSION, replace(NOTHING, invoice=b"lni"))


@pytest.mark.parametrize("count", [1, DUMMY_HOPS_MAX])
def test_hops_to_ourselves_are_followed_to_the_end(count: int) -> None:
    delivered = BOB.receive(with_dummy_hops(count))
    assert isinstance(delivered, Delivered)
    assert delivered.path_id == PATH_ID


def test_more_hops_to_ourselves_than_any_path_of_ours_are_refused() -> None:
    with pytest.raises(TooManyDummyHops):
        BOB.receive(with_dummy_hops(DUMMY_HOPS_MAX + 1))
