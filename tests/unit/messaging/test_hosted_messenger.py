"""A guest speaks under its host's id: what it composes its host can pass on, and what comes back its host can open."""

from __future__ import annotations

import pytest

from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import UsageError
from lnrecur.messaging.hosted import HostedMessenger
from lnrecur.messaging.messenger import (
    ContentsKind,
    Delivered,
    Destination,
    DestinationUnusable,
    DirectDestination,
    Entry,
    Forward,
    IntroductionUnresolved,
    MessageContents,
    MessageUnreadable,
    Messenger,
    OutgoingMessage,
)
from lnrecur.values import NodeId, ShortChannelId
from lnrecur.wire.blinded_path import BlindedPath, ChannelDirection

HOST, BOB, CAROL, DAVE = (Messenger(PrivateKey(bytes([0x51 + number]) * 32)) for number in range(4))
NODES = {node.node_id: node for node in (HOST, BOB, CAROL, DAVE)}
GUEST = HostedMessenger(PrivateKey(b"\x77" * 32), HOST.node_id)
SESSION = PrivateKey(b"\x07" * 32)
ENTROPY = bytes(range(64))
PATH_ID = bytes(range(100, 132))
REQUEST = MessageContents(ContentsKind.INVOICE_REQUEST, b"an invoice request")
END = ChannelDirection(ShortChannelId(103 << 40 | 1 << 16), 1)


def inject(outgoing: OutgoingMessage) -> tuple[Messenger, Delivered]:
    """Hand the onion to the host as if a peer had brought it, and follow it to its end."""
    node, message, hops = HOST, outgoing.message, []
    while isinstance(outcome := node.receive(message), Forward):
        assert isinstance(outcome.next_node, bytes)
        node, message = NODES[NodeId(outcome.next_node)], outcome.message
        hops.append(node.node_id)
    known = hops[:1] or [HOST.node_id]  # where a path begins at the host, only the host can read where it goes on
    assert outgoing.first_hop in (*known, HOST.node_id)
    return node, outcome


def at_bob(via: tuple[Messenger, ...] = ()) -> BlindedPath:
    return BOB.reply_path(PATH_ID, SESSION, [node.node_id for node in via])


@pytest.mark.parametrize(
    ("destination", "via", "ends_at"),
    [
        (DirectDestination(BOB.node_id), (), BOB),
        (DirectDestination(DAVE.node_id), (BOB, CAROL), DAVE),
        (DirectDestination(HOST.node_id), (), HOST),
        (at_bob(), (), BOB),
        (at_bob((CAROL,)), (), BOB),
        (at_bob((CAROL,)), (DAVE,), BOB),
        (at_bob((HOST,)), (), BOB),
        (at_bob((HOST, CAROL)), (), BOB),
        (HOST.reply_path(PATH_ID, SESSION, [BOB.node_id]), (), HOST),
        (HOST.reply_path(PATH_ID, SESSION), (), HOST),
    ],
    ids=[
        "a peer of the host", "far away", "the host itself", "a path of one hop", "a path", "a path that is far away",
        "a path that begins at the host", "a long one that does", "a path to the host", "a path of the host alone",
    ],
)  # fmt: skip
def test_the_host_passes_on_what_its_guest_says(
    destination: Destination, via: tuple[Messenger, ...], ends_at: Messenger
) -> None:
    reply = GUEST.reply_path(bytes(32), SESSION)
    made = GUEST.compose(destination, REQUEST, ENTROPY, reply, [node.node_id for node in via])
    node, delivered = inject(made)
    assert node is ends_at
    assert delivered.contents == REQUEST
    assert delivered.reply_path == reply
    assert delivered.path_id == (PATH_ID if isinstance(destination, BlindedPath) else None)


@pytest.mark.parametrize(("via", "link"), [((), DAVE), ((BOB,), BOB), ((BOB, CAROL), BOB)])
def test_the_link_that_is_paced_is_the_one_behind_the_host(via: tuple[Messenger, ...], link: Messenger) -> None:
    made = GUEST.compose(DirectDestination(DAVE.node_id), REQUEST, ENTROPY, None, [node.node_id for node in via])
    assert made.first_hop == link.node_id


@pytest.mark.parametrize("via", [(), (BOB,), (BOB, HOST), (CAROL, BOB, HOST), (HOST,)], ids=len)
def test_a_path_to_the_guest_ends_at_its_host_and_brings_the_path_id(via: tuple[Messenger, ...]) -> None:
    path = GUEST.reply_path(PATH_ID, SESSION, [node.node_id for node in via])
    begins = next((node for node in via if node is not HOST), HOST)
    assert path.first_node_id == begins.node_id
    assert len(path.hops) == len([node for node in via if node is not HOST]) + 1, "the host is its last hop, once"
    speaker = HostedMessenger(PrivateKey(b"\x78" * 32), HOST.node_id) if begins is HOST else DAVE
    made = speaker.compose(path, REQUEST, ENTROPY)
    if begins is HOST:
        node, delivered = inject(made)
    else:
        node, message = begins, made.message
        while isinstance(outcome := node.receive(message), Forward):
            node, message = NODES[NodeId(bytes(outcome.next_node))], outcome.message  # type: ignore[arg-type]
        delivered = outcome
    assert node is HOST
    assert delivered.path_id == PATH_ID


def test_paths_to_the_guest_are_the_same_for_the_same_arguments() -> None:
    one = GUEST.reply_path(PATH_ID, SESSION, [BOB.node_id])
    assert GUEST.reply_path(PATH_ID, SESSION, [BOB.node_id, HOST.node_id]) == one


def test_an_introduction_named_by_a_channel_has_to_be_looked_up() -> None:
    path = BlindedPath(END, at_bob().first_path_key, at_bob().hops)
    with pytest.raises(IntroductionUnresolved, match="103x1x0"):
        GUEST.entry(path)
    assert GUEST.entry(path, {END: BOB.node_id}) == Entry(BOB.node_id, is_last=True)
    node, _ = inject(GUEST.compose(path, REQUEST, ENTROPY, channels={END: BOB.node_id}))
    assert node is BOB


def test_the_guest_opens_nothing() -> None:
    message = BOB.compose(DirectDestination(HOST.node_id), REQUEST, ENTROPY).message
    with pytest.raises(MessageUnreadable, match="opened by its host"):
        GUEST.receive(message)


def test_a_host_takes_no_dummy_hops_and_no_path_without_hops() -> None:
    with pytest.raises(UsageError, match="no hops from itself to itself") as refused:
        GUEST.reply_path(PATH_ID, SESSION, dummy_hops=1)
    assert refused.value.field == "dummy_hops"
    with pytest.raises(DestinationUnusable, match="no hops"):
        GUEST.entry(BlindedPath(BOB.node_id, at_bob().first_path_key, ()))  # type: ignore[arg-type]
