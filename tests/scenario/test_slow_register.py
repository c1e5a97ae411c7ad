"""A money node that never answers holds up no request but the one it was asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from helpers.hostile import honest_peer
from helpers.links import HOST
from helpers.rig import PERIOD, assert_paid, outbound, publish, subscribe
from lnrecur.adapters.clock import SystemClock
from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.adapters.link import LinkSettings, TcpPeerLink
from lnrecur.adapters.router import StaticRouter
from lnrecur.bolt12 import OfferTerms
from lnrecur.bolt12.offer import Offer
from lnrecur.messaging.messenger import ContentsKind
from lnrecur.messaging.peer import PeerSettings
from lnrecur.ports import PeerAddress
from lnrecur.recurrence.offering import OfferPolicy
from lnrecur.service import payee
from lnrecur.service.assembly import Parts, Services
from lnrecur.service.keyring import Keyring
from lnrecur.testing.memory_node import MemoryLedger, MemoryMoneyNode
from lnrecur.testing.memory_store import MemoryRecurrenceManager
from lnrecur.testing.rig import Rig
from lnrecur.testing.scripted_node import ScriptedNode
from lnrecur.values import BITCOIN, REGTEST, Msat


async def test_a_request_whose_invoice_cannot_be_made_in_time_is_refused_and_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(payee, "INVOICE_S_MAX", 0.05)
    async with Rig(seed=6) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant)
        merchant.money.hang("register")
        subscription = subscribe(alice, offer)
        await rig.settle()
        await asyncio.sleep(0.2)  # the limit is one of real time: a node that hangs does not move the virtual clock
        await rig.settle()
        assert "cannot receive just now" in (outbound(alice, subscription).problem or "")
        merchant.money.release("register")
        await rig.run_for(PERIOD // 4)
        assert_paid(rig, alice, subscription, 1)


@asynccontextmanager
async def _shop() -> AsyncIterator[tuple[PeerAddress, Offer, ScriptedNode]]:
    """A payee over real TCP and real time, whose money node can be told to hang."""
    keyring, clock, entropy = Keyring.derive(b"\x42" * 32), SystemClock(), SystemEntropy()
    money = ScriptedNode(MemoryMoneyNode(MemoryLedger(), keyring.money, clock))
    link = TcpPeerLink(keyring.identity, entropy, LinkSettings(PeerSettings(REGTEST)))
    services = Services(keyring, Parts(MemoryRecurrenceManager(), money, link, StaticRouter(), clock, entropy, REGTEST))
    terms = OfferTerms(description="coffee", amount=Msat(1_000_000), chains=(REGTEST,))
    record = services.payee.create_offer(terms, OfferPolicy())
    try:
        address = PeerAddress(link.node_id, HOST, await link.listen(HOST, 0))
        yield address, Offer.from_bytes(record.offer), money
    finally:
        await link.close()
        await services.courier.close()


async def test_over_tcp_a_silent_money_node_holds_up_no_other_peer_and_no_other_message_of_the_same_one() -> None:
    async with (
        _shop() as (address, offer, money),
        honest_peer(address, offer) as first,
        honest_peer(address, offer) as second,
    ):
        money.hang("register")
        waiting = asyncio.create_task(first.question(seconds=15))
        await asyncio.sleep(0.1)
        for peer in (second, first):  # a refusal needs no money node
            assert (await peer.question(seconds=5, chain=BITCOIN)).kind is ContentsKind.INVOICE_ERROR
        assert not waiting.done()
        money.release("register")
        assert (await waiting).kind is ContentsKind.INVOICE
