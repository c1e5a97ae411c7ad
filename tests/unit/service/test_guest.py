"""What a guest takes of the messages its host shows it, and how many at a time."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from helpers.engine import a_request
from lnrecur.adapters.router import StaticRouter
from lnrecur.bolt12 import OfferTerms, Recurrence, TimeUnit
from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.hosted import HostedMessenger
from lnrecur.messaging.messenger import ContentsKind, Delivered, MessageContents
from lnrecur.recurrence.offer_authenticity import path_secret, write_authentic_offer
from lnrecur.service.courier import Courier
from lnrecur.service.guest import IN_HAND_MAX, GuestInbox, is_for_us
from lnrecur.service.keyring import Keyring
from lnrecur.testing.network import MemoryNetwork
from lnrecur.testing.seeded_entropy import SeededEntropy
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST, NodeId, RecurrenceId

OURS, THEIRS = Keyring.derive(b"\x01" * 32), Keyring.derive(b"\x02" * 32)
HOST = NodeId(PrivateKey(b"\x03" * 32).point)
NONCE = bytes(8)
REPLY = OURS.payer(RecurrenceId(b"\x05" * 32)).reply_path_id(b"a request")
INVOICE, ERROR = MessageContents(ContentsKind.INVOICE, b""), MessageContents(ContentsKind.INVOICE_ERROR, b"")


def delivered(path_id: bytes | None, contents: MessageContents | None = INVOICE) -> Delivered:
    return Delivered(contents, None, path_id, None)


def an_inbox() -> tuple[Courier, GuestInbox]:
    messenger = HostedMessenger(OURS.identity, HOST)
    link = MemoryNetwork().link(HOST)
    courier = Courier(messenger, link, StaticRouter(), SeededEntropy(1), VirtualClock(0))
    return courier, GuestInbox(courier)


@pytest.mark.parametrize("contents", [INVOICE, ERROR, None], ids=["invoice", "error", "nothing"])
def test_what_comes_over_a_reply_path_of_ours_is_for_us_whatever_it_says(contents: MessageContents | None) -> None:
    assert is_for_us(OURS, delivered(REPLY, contents))
    assert not is_for_us(THEIRS, delivered(REPLY, contents))
    for path_id in (None, b"", bytes(32), REPLY[:31], REPLY + b"\x00", REPLY[::-1]):
        assert not is_for_us(OURS, delivered(path_id, contents))


def test_a_request_is_for_us_with_the_secret_of_the_offer_it_mirrors_and_with_no_other() -> None:
    terms = OfferTerms(description="a thing", amount=1000, chains=(REGTEST,), issuer_id=PrivateKey(b"\x09" * 32).point,
                       recurrence=Recurrence(TimeUnit.DAYS, 1))  # fmt: skip
    secret = path_secret(OURS.offers, terms, NONCE)
    path = HostedMessenger(OURS.identity, HOST).reply_path(secret, PrivateKey(b"\x07" * 32))
    offer = write_authentic_offer(OURS.offers, replace(terms, paths=(path,)), NONCE)
    said = a_request(offer=offer).to_bytes()
    request = MessageContents(ContentsKind.INVOICE_REQUEST, said)
    assert is_for_us(OURS, delivered(secret, request))
    assert not is_for_us(THEIRS, delivered(secret, request))
    assert not is_for_us(OURS, delivered(REPLY, request)), "a request never comes over a reply path"
    assert not is_for_us(OURS, delivered(None, request))
    for broken in (b"", b"\xff", said[:-1], said + b"\xff"):
        assert not is_for_us(OURS, delivered(secret, MessageContents(ContentsKind.INVOICE_REQUEST, broken)))


async def test_only_so_many_are_handled_at_a_time_and_the_rest_is_dropped() -> None:
    courier, inbox = an_inbox()
    gate, handled = asyncio.Event(), 0

    async def wait(opened: Delivered, contents: MessageContents, peer: NodeId) -> None:
        nonlocal handled
        await gate.wait()
        handled += 1
        assert peer == HOST

    courier.deliver_to(ContentsKind.INVOICE, wait)
    for _ in range(IN_HAND_MAX + 5):
        inbox.take(delivered(REPLY))
    assert inbox.dropped == 5
    gate.set()
    while handled < IN_HAND_MAX:
        await asyncio.sleep(0)
    for _ in range(5):  # until the tasks are gone
        await asyncio.sleep(0)
    inbox.take(delivered(REPLY))
    for _ in range(5):
        await asyncio.sleep(0)
    assert (handled, inbox.dropped) == (IN_HAND_MAX + 1, 5)
    await inbox.close()


async def test_a_bug_in_handling_one_message_is_told_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    courier, inbox = an_inbox()

    async def bug(opened: Delivered, contents: MessageContents, peer: NodeId) -> None:
        raise ZeroDivisionError("a bug")

    courier.deliver_to(ContentsKind.INVOICE, bug)
    with caplog.at_level(logging.ERROR):
        inbox.take(delivered(REPLY))
        for _ in range(5):
            await asyncio.sleep(0)
    assert "ZeroDivisionError: a bug" in caplog.text
    await inbox.close()
