"""`MoneyNode` over an LND that the user runs: its REST API and a macaroon that allows what is done here, no more.

Who keeps what: LND keeps invoices and payments, by payment_hash, and lnrecur's books keep subscriptions. This adapter
keeps nothing over a restart. Before anything is received or paid LND is asked who it is, every time: a node of another
chain, or one that does not know the newest blocks, is `LndUnavailable`, which holds everything up and loses nothing.

Blinded payment paths are ours (service/invoicing.py), from public keys and the terms of LND's peers: hold invoices
cannot be blinded through LND's own API, and LND accepts such a path because its path_id is the payment_addr of an
invoice. docs/nodes/lnd.md tells what was seen to work.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Final

from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.adapters.nodes.lnd import diagnosis
from lnrecur.adapters.nodes.lnd.channels import Channels
from lnrecur.adapters.nodes.lnd.errors import LndRefused, LndUnavailable, Trouble, reading
from lnrecur.adapters.nodes.lnd.payments import Payments
from lnrecur.adapters.nodes.lnd.permissions import Permission, missing_permissions
from lnrecur.adapters.nodes.lnd.receipts import Receipts
from lnrecur.adapters.nodes.lnd.receivables import Receivables
from lnrecur.adapters.nodes.lnd.rest import LndAccess, LndRest
from lnrecur.ports import (
    Clock,
    Entropy,
    Finding,
    InboundEdge,
    NodeInfo,
    PayOrder,
    Receipt,
    Receivable,
    Received,
    ReceiveOrder,
    Sent,
)
from lnrecur.values import ChainHash, NodeId, PaymentHash, Preimage, chain_name

_NETWORKS: Final = {"mainnet": "bitcoin", "testnet": "testnet", "signet": "signet", "regtest": "regtest"}
"""LND's names for the chains we know."""


class LndNode:
    """A `lnrecur.ports.MoneyNode`. Use it in `async with`, or give it back with `close`."""

    def __init__(
        self,
        access: LndAccess,
        clock: Clock,
        *,
        chain: ChainHash,
        hold: bool = True,
        entropy: Entropy | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            access: where LND is and what opens it.
            clock: what expiry is measured by; LND's own should agree.
            chain: the chain of our settings; an LND of another is refused.
            hold: whether payments are held until they are claimed (hold invoices), or claimed by LND as they arrive.
            entropy: what the pauses between new tries vary by; the system's, unless told otherwise.
        """
        self._clock = clock
        self._chain = chain
        self._hold = hold
        self._entropy = SystemEntropy() if entropy is None else entropy
        self._rest = LndRest(access)
        self._channels = Channels(self._rest)
        self._receivables = Receivables(self._rest, hold=hold)
        self._payments = Payments(self._rest, self._channels, chain)
        self._readers: set[Receipts] = set()

    async def __aenter__(self) -> LndNode:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of all connections."""
        await self._payments.close()
        await self._rest.close()

    async def info(self) -> NodeInfo:
        """See `MoneyNode.info`.

        Raises:
            LndUnavailable: LND cannot be asked, is behind, or is on another chain.
        """
        told = await self.get_info()
        with reading("LND's info"):
            node_id, height = NodeId(bytes.fromhex(told["identity_pubkey"])), int(told["block_height"])
        network = network_of(told)
        if network != chain_name(self._chain):
            ours = chain_name(self._chain)
            raise LndUnavailable(Trouble.WRONG_CHAIN, f"LND is on {network}, and chain of the settings is {ours}")
        if not told.get("synced_to_chain"):
            raise LndUnavailable(Trouble.NOT_SYNCED, f"LND is not synced to the chain: it knows block {height}")
        return NodeInfo(
            node_id=node_id,
            chain=self._chain,
            block_height=height,
            can_hold=self._hold,
            kind=f"LND {version_of(told)}",
            can_split=True,
        )

    async def get_info(self) -> dict[str, Any]:
        """LND's own word on itself, of whatever chain and however far behind.

        Raises:
            LndUnavailable: no answer.
        """
        try:
            told = await self._rest.get("/v1/getinfo")
        except LndRefused as error:
            raise LndUnavailable(Trouble.NO_LND, f"LND does not say who it is: {error}") from error
        if not all(key in told for key in ("identity_pubkey", "block_height", "version", "chains")):
            raise LndUnavailable(Trouble.NO_LND, f"this is no LND at {self._rest.url}: its info lacks what LND says")
        return told

    # --- the payee's side

    async def register(self, order: ReceiveOrder) -> Receivable:
        """See `MoneyNode.register`."""
        await self.info()
        receivable = await self._receivables.register(order, self._clock.now())
        self._ring()
        return receivable

    async def inbound_edges(self) -> Sequence[InboundEdge]:
        """See `MoneyNode.inbound_edges`."""
        return await self._channels.inbound_edges()

    async def received(self, payment_hash: PaymentHash) -> Received:
        """See `MoneyNode.received`."""
        return await self._receivables.received(payment_hash)

    async def claim(self, preimage: Preimage) -> None:
        """See `MoneyNode.claim`."""
        await self._receivables.claim(preimage)
        self._ring()

    async def cancel(self, payment_hash: PaymentHash) -> bool:
        """See `MoneyNode.cancel`."""
        canceled = await self._receivables.cancel(payment_hash)
        self._ring()
        return canceled

    async def receipts(
        self, cursor: str | None, on_caught_up: Callable[[], None] | None = None
    ) -> AsyncGenerator[Receipt]:
        """See `MoneyNode.receipts`."""
        reader = Receipts(self._rest, self._receivables, self._clock, self._entropy)
        self._readers.add(reader)
        try:
            async with aclosing(reader.follow(cursor, on_caught_up)) as told:
                async for receipt in told:
                    yield receipt
        finally:
            self._readers.discard(reader)

    # --- the payer's side

    async def pay(self, order: PayOrder) -> None:
        """See `MoneyNode.pay`."""
        info = await self.info()
        await self._payments.pay(order, info, self._clock.now())

    async def sent(self, payment_hash: PaymentHash) -> Sent:
        """See `MoneyNode.sent`."""
        return await self._payments.sent(payment_hash)

    async def follow(self, payment_hash: PaymentHash) -> Sent:
        """See `MoneyNode.follow`."""
        return await self._payments.follow(payment_hash)

    # --- looking at itself

    async def missing_permissions(self) -> Sequence[Permission]:
        """What the macaroon does not allow of what is needed.

        Raises:
            LndUnavailable: LND cannot be asked.
        """
        return await missing_permissions(self._rest)

    async def diagnose(self) -> Sequence[Finding]:
        """See `Diagnosable.diagnose`."""
        found: list[Finding] = []
        try:
            told = await self.get_info()
            network, chain = network_of(told), chain_name(self._chain)
            with reading("LND's info"):
                found += diagnosis.look_at_info(told, network=network, chain=chain, now=self._clock.now())
            found += [one for one in [diagnosis.look_at_date(self._rest.date, self._clock.now())] if one is not None]
            found += await diagnosis.look_at_permissions(self._rest)
            found += await diagnosis.look_at_channels(self._channels, hold=self._hold)
            found += diagnosis.look_at_doorbells(reader.doorbell.interruption for reader in self._readers)
        except LndUnavailable as error:
            if error.trouble is not Trouble.NOT_PERMITTED or not found:
                found.append(diagnosis.connection_trouble(error))
        return found

    def _ring(self) -> None:
        for reader in self._readers:
            reader.bell.set()


def network_of(told: dict[str, Any]) -> str:
    """The chain of LND's GetInfo, in the words of our settings where we know it."""
    try:
        network = str(told["chains"][0]["network"])
    except (LookupError, TypeError):
        return "an unknown chain"
    return _NETWORKS.get(network, network)


def version_of(told: dict[str, Any]) -> str:
    """LND's version without its commit."""
    return str(told["version"]).partition(" ")[0]
