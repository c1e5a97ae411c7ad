"""`MoneyNode` over a Core Lightning that the user runs: its JSON-RPC, and no more of it than methods.py lists.

Who keeps what: lightningd keeps invoices and payments, and in its datastore the few notes that it has no place for;
lnrecur's books keep subscriptions. This adapter keeps nothing over a restart. Before anything is received or paid,
lightningd is asked who it is: a node of another chain, one that is too old, or one that does not know the newest blocks
is `ClnUnavailable`, which holds everything up and loses nothing.

Payments can be held where the plugin runs in this process (held.py); otherwise lightningd claims what arrives.
docs/nodes/cln.md tells what was seen to work on live nodes, and what has not been tried on one.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Final

from lnrecur.adapters.nodes.cln import diagnosis
from lnrecur.adapters.nodes.cln.channels import Channels
from lnrecur.adapters.nodes.cln.errors import MINIMUM_VERSION, ClnRefused, ClnUnavailable, Trouble
from lnrecur.adapters.nodes.cln.held import HeldPayments
from lnrecur.adapters.nodes.cln.invoices import Invoice
from lnrecur.adapters.nodes.cln.notes import Notes
from lnrecur.adapters.nodes.cln.payments import Payments
from lnrecur.adapters.nodes.cln.receipts import Receipts
from lnrecur.adapters.nodes.cln.receivables import CLTV_EXPIRY, Receivables
from lnrecur.adapters.nodes.cln.rpc import ClnRpc
from lnrecur.ports import (
    Clock,
    Finding,
    InboundEdge,
    MoneyNodeError,
    NodeInfo,
    PayOrder,
    Receipt,
    Receivable,
    Received,
    ReceiveOrder,
    Sent,
)
from lnrecur.values import ChainHash, NodeId, PaymentHash, Preimage, chain_name

_LOG = logging.getLogger("lnrecur.cln")
_NODE_ID: Final = re.compile("0[23][0-9a-f]{64}")
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)")
_CLTV_FINAL: Final = "cltv-final"


class ClnNode:
    """A `lnrecur.ports.MoneyNode`. Use it in `async with`, or give it back with `close`."""

    def __init__(self, rpc: ClnRpc, clock: Clock, *, chain: ChainHash, held: HeldPayments | None = None) -> None:
        """Nothing is asked yet.

        Args:
            rpc: where lightningd is.
            clock: what expiry is measured by; lightningd's own should agree.
            chain: the chain of our settings; a lightningd of another is refused.
            held: payments that the plugin of this process holds; None: lightningd claims what arrives.
        """
        self._rpc = rpc
        self._clock = clock
        self._chain = chain
        self._held = held
        self._notes = Notes(rpc)
        self._channels = Channels(rpc)
        self._receivables = Receivables(rpc, clock, self._notes, held)
        self._receivables.on_withdrawn = self._withdrew
        self._payments = Payments(rpc, self._notes, self._channels, clock)
        self._readers: set[Receipts] = set()
        self._bells: set[asyncio.Event] = set()
        self._tasks: set[asyncio.Task[bool]] = set()
        self._cltv_final: int | None = None
        self._gap: str | None = None
        if held is not None:
            held.bind(self._receivables.admit, self._ring, self._given_up)

    async def __aenter__(self) -> ClnNode:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop listening. What lightningd was asked to do goes on there."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._payments.close()

    async def info(self) -> NodeInfo:
        """See `MoneyNode.info`.

        Raises:
            ClnUnavailable: lightningd cannot be asked, is too old, is behind, or is on another chain.
        """
        told = await self.get_info()
        if told["network"] != chain_name(self._chain):
            said = f"Core Lightning is on {told['network']}, and chain of the settings is {chain_name(self._chain)}"
            raise ClnUnavailable(Trouble.WRONG_CHAIN, said)
        if version_number(told) < version_number({"version": MINIMUM_VERSION}):
            raise ClnUnavailable(Trouble.TOO_OLD, f"Core Lightning {told['version']} is older than {MINIMUM_VERSION}")
        for warning in ("warning_bitcoind_sync", "warning_lightningd_sync"):
            if warning in told:
                raise ClnUnavailable(Trouble.NOT_SYNCED, f"Core Lightning is not synced: {told[warning]}")
        return NodeInfo(
            node_id=NodeId(bytes.fromhex(told["id"])),
            chain=self._chain,
            block_height=int(told["blockheight"]),
            can_hold=self._held is not None,
            kind=f"Core Lightning {told['version']}",
            can_split=True,
        )

    async def get_info(self) -> dict[str, Any]:
        """Lightningd's own word on itself, of whatever chain, version and height.

        Raises:
            ClnUnavailable: no answer.
        """
        try:
            told = await self._rpc.call("getinfo")
        except ClnRefused as error:
            raise ClnUnavailable(Trouble.NO_CLN, f"Core Lightning does not say who it is: {error}") from error
        texts = all(isinstance(told.get(key), str) for key in ("id", "version", "network"))
        if not texts or not isinstance(told.get("blockheight"), int) or _NODE_ID.fullmatch(told["id"]) is None:
            raise ClnUnavailable(
                Trouble.NO_CLN,
                f"this is no Core Lightning at {self._rpc.socket}: its info is not what Core Lightning says",
            )
        return told

    # --- the payee's side

    async def register(self, order: ReceiveOrder) -> Receivable:
        """See `MoneyNode.register`."""
        await self.info()
        return await self._receivables.register(order, await self._final_delta())

    async def inbound_edges(self) -> Sequence[InboundEdge]:
        """See `MoneyNode.inbound_edges`."""
        return await self._channels.inbound_edges()

    async def received(self, payment_hash: PaymentHash) -> Received:
        """See `MoneyNode.received`."""
        return await self._receivables.received(payment_hash)

    async def claim(self, preimage: Preimage) -> None:
        """See `MoneyNode.claim`."""
        await self._receivables.claim(preimage)

    async def cancel(self, payment_hash: PaymentHash) -> bool:
        """See `MoneyNode.cancel`."""
        return await self._receivables.cancel(payment_hash)

    async def receipts(
        self, cursor: str | None, on_caught_up: Callable[[], None] | None = None
    ) -> AsyncGenerator[Receipt]:
        """See `MoneyNode.receipts`."""
        bell = asyncio.Event()
        reader = Receipts(self._rpc, self._receivables, self._notes, self._held, self._clock, bell)
        self._bells.add(bell)
        self._readers.add(reader)
        try:
            async with aclosing(reader.follow(cursor, on_caught_up)) as told:
                async for receipt in told:
                    self._gap = reader.gap or self._gap
                    yield receipt
        finally:
            self._bells.discard(bell)
            self._readers.discard(reader)

    # --- the payer's side

    async def pay(self, order: PayOrder) -> None:
        """See `MoneyNode.pay`."""
        await self.info()
        await self._payments.pay(order)

    async def sent(self, payment_hash: PaymentHash) -> Sent:
        """See `MoneyNode.sent`."""
        return await self._payments.sent(payment_hash)

    async def follow(self, payment_hash: PaymentHash) -> Sent:
        """See `MoneyNode.follow`."""
        return await self._payments.follow(payment_hash)

    # --- looking at itself

    async def diagnose(self) -> Sequence[Finding]:
        """See `Diagnosable.diagnose`."""
        found: list[Finding] = []
        try:
            told = await self.get_info()
            found += diagnosis.look_at_info(told, chain_name(self._chain), version_number(told))
            found += await diagnosis.look_at_settings(self._rpc)
            found += await diagnosis.look_at_channels(self._channels, holds=self._held is not None)
            found += diagnosis.look_at_gap(self._gap)
        except ClnUnavailable as error:
            found.append(diagnosis.connection_trouble(error))
        return found

    # --- within

    async def _final_delta(self) -> int:
        """Lightningd's cltv-final: an HTLC with less is failed, whatever an invoice says."""
        if self._cltv_final is None:
            try:
                told = (await self._rpc.call("listconfigs", {"config": _CLTV_FINAL}))["configs"][_CLTV_FINAL]
                self._cltv_final = int(told["value_int"])
            except (ClnRefused, KeyError, TypeError, ValueError) as error:
                _LOG.info("Core Lightning does not tell its cltv-final: %s", error)
                return CLTV_EXPIRY
        return self._cltv_final

    def _ring(self) -> None:
        for bell in self._bells:
            bell.set()

    def _withdrew(self, invoice: Invoice) -> None:
        for reader in self._readers:
            reader.withdrew(invoice)

    def _given_up(self, payment_hash: PaymentHash) -> None:
        """Nobody decided in time about a held payment, so it was failed back: nor may it be taken a moment later."""
        task = asyncio.get_running_loop().create_task(self._withdraw(payment_hash), name="withdraw")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _withdraw(self, payment_hash: PaymentHash) -> bool:
        try:
            return await self._receivables.cancel(payment_hash)
        except MoneyNodeError as error:
            _LOG.warning("a payment that was failed back cannot be withdrawn: %s", error)
            return False


def version_number(told: dict[str, Any]) -> tuple[int, int]:
    """Year and month of a version; of a build that has none (a commit's hash) it is assumed that it is new."""
    found = _VERSION.match(str(told["version"]))
    return (99, 12) if found is None else (int(found[1]), int(found[2]))
