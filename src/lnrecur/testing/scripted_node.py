"""A money node with bad days on order: wraps any `MoneyNode` and fails, hangs or repeats itself as told.

What it can be told is what real nodes and the wires to them do. The two ways of being unavailable matter most:
*before*, the node never heard the call; *after*, it has acted and only the answer is lost, which is what a crash
between record and answer looks like. The caller cannot tell them apart and has to ask by payment_hash.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal, TypeVar

from lnrecur.errors import UsageError
from lnrecur.ports import (
    Clock,
    FailureReason,
    InboundEdge,
    MoneyNode,
    NodeInfo,
    PayOrder,
    Receipt,
    Receivable,
    Received,
    ReceiveOrder,
    Rejected,
    Sent,
    SentState,
    Unavailable,
)
from lnrecur.values import PaymentHash, Preimage

Call = Literal["info", "register", "inbound_edges", "received", "claim", "cancel", "pay", "sent", "follow", "receipts"]
"""The methods of `MoneyNode`. Of `receipts`, hanging holds back each receipt; the other troubles do not apply."""

_Answer = TypeVar("_Answer")


class _Trouble(Enum):
    REFUSED = auto()
    UNAVAILABLE_BEFORE = auto()
    UNAVAILABLE_AFTER = auto()


@dataclass(slots=True)
class _Planned:
    call: Call | None
    trouble: _Trouble


class ScriptedNode:
    """A `lnrecur.ports.MoneyNode` that passes everything to another, with the troubles it was told to make."""

    def __init__(self, inner: MoneyNode, clock: Clock | None = None) -> None:
        """Wrap `inner`; the clock is needed for delays only."""
        self.inner: Final = inner
        self.calls: Counter[Call] = Counter()
        """How often each method was called, troubled calls included."""
        self._clock = clock
        self._planned: list[_Planned] = []
        self._failures: deque[Sent] = deque()
        self._failed: dict[PaymentHash, Sent] = {}
        self._hanging: dict[Call, asyncio.Event] = {}
        self._delay_seconds = 0.0
        self._copies = 1
        self._is_down = self._has_broken_off = False
        self._up = asyncio.Event()

    # --- what it can be told

    def go_down(self) -> None:
        """Answer nothing until `come_back`: calls are unavailable; receipts too, once, and then they say nothing."""
        self._is_down, self._has_broken_off = True, False

    def come_back(self) -> None:
        """Answer again."""
        self._is_down = False
        self._up.set()
        self._up = asyncio.Event()

    def forget_troubles(self) -> None:
        """Make none of the troubles that were ordered and have not happened yet, and answer."""
        self._planned.clear()
        self._failures.clear()
        self._delay_seconds, self._copies = 0.0, 1
        self.release()
        self.come_back()

    def fail_next_payments(
        self, times: int = 1, *, reason: FailureReason = FailureReason.OTHER, retryable: bool = True
    ) -> None:
        """Let the next payments that would start fail instead; `sent` tells why until they are paid anew."""
        self._failures.extend([Sent(SentState.FAILED, reason=reason, retryable=retryable)] * times)

    def refuse(self, call: Call | None = None, times: int = 1) -> None:
        """Answer the next calls of this method (None: of any) with `Rejected`, without passing them on."""
        self._planned += [_Planned(call, _Trouble.REFUSED)] * times

    def be_unavailable(self, call: Call | None = None, times: int = 1, *, after_acting: bool = False) -> None:
        """Answer the next calls of this method (None: of any) with `Unavailable`, before or after passing them on."""
        trouble = _Trouble.UNAVAILABLE_AFTER if after_acting else _Trouble.UNAVAILABLE_BEFORE
        self._planned += [_Planned(call, trouble)] * times

    def hang(self, call: Call) -> None:
        """Let calls of this method wait, before they are passed on, until `release`."""
        self._hanging.setdefault(call, asyncio.Event())

    def release(self, call: Call | None = None) -> None:
        """Let what hangs go on: in one method, or (None) in all."""
        for name in list(self._hanging) if call is None else [call]:
            hanging = self._hanging.pop(name, None)
            if hanging is not None:
                hanging.set()

    def delay_receipts(self, seconds: float) -> None:
        """Tell each receipt only `seconds` after it came about, by the clock.

        Raises:
            UsageError: the node was made without a clock.
        """
        if self._clock is None:
            raise UsageError("a ScriptedNode delays receipts by the clock it is given, and has none", field="clock")
        self._delay_seconds = seconds

    def repeat_receipts(self, copies: int = 2) -> None:
        """Tell each receipt this many times in a row: delivery is at least once."""
        self._copies = copies

    # --- MoneyNode

    async def info(self) -> NodeInfo:
        """As the wrapped node."""
        return await self._troubled("info", self.inner.info)

    async def register(self, order: ReceiveOrder) -> Receivable:
        """As the wrapped node."""
        return await self._troubled("register", lambda: self.inner.register(order))

    async def inbound_edges(self) -> Sequence[InboundEdge]:
        """As the wrapped node."""
        return await self._troubled("inbound_edges", self.inner.inbound_edges)

    async def received(self, payment_hash: PaymentHash) -> Received:
        """As the wrapped node."""
        return await self._troubled("received", lambda: self.inner.received(payment_hash))

    async def claim(self, preimage: Preimage) -> None:
        """As the wrapped node."""
        await self._troubled("claim", lambda: self.inner.claim(preimage))

    async def cancel(self, payment_hash: PaymentHash) -> bool:
        """As the wrapped node."""
        return await self._troubled("cancel", lambda: self.inner.cancel(payment_hash))

    async def receipts(
        self, cursor: str | None, on_caught_up: Callable[[], None] | None = None
    ) -> AsyncIterator[Receipt]:
        """As the wrapped node, but hanging, late or repeated as told."""
        self.calls["receipts"] += 1
        if self._is_down and self._has_broken_off:
            await self._up.wait()
        self._has_broken_off = self._is_down
        self._check_is_up("receipts")
        async for receipt in self.inner.receipts(cursor, on_caught_up):
            await self._wait_for_release("receipts")
            self._check_is_up("receipts")
            if self._clock is not None and self._delay_seconds:
                await self._clock.sleep_until(receipt.at + self._delay_seconds)
            for _ in range(self._copies):
                yield receipt

    async def pay(self, order: PayOrder) -> None:
        """As the wrapped node, unless the payment was told to fail."""
        await self._troubled("pay", lambda: self._pay(order))

    async def sent(self, payment_hash: PaymentHash) -> Sent:
        """As the wrapped node, or the failure that was ordered."""
        return await self._troubled("sent", lambda: self._sent(payment_hash))

    async def follow(self, payment_hash: PaymentHash) -> Sent:
        """As the wrapped node, or the failure that was ordered."""
        return await self._troubled("follow", lambda: self._follow(payment_hash))

    async def _follow(self, payment_hash: PaymentHash) -> Sent:
        failed = self._failed.get(payment_hash)
        return await self.inner.follow(payment_hash) if failed is None else failed

    async def _pay(self, order: PayOrder) -> None:
        if self._failures:
            known = await self.inner.sent(order.payment_hash)
            if known.state not in (SentState.PENDING, SentState.SUCCEEDED):
                self._failed[order.payment_hash] = self._failures.popleft()
                return
        await self.inner.pay(order)
        self._failed.pop(order.payment_hash, None)

    async def _sent(self, payment_hash: PaymentHash) -> Sent:
        failed = self._failed.get(payment_hash)
        return await self.inner.sent(payment_hash) if failed is None else failed

    async def _troubled(self, call: Call, act: Callable[[], Awaitable[_Answer]]) -> _Answer:
        self.calls[call] += 1
        await self._wait_for_release(call)
        self._check_is_up(call)
        trouble = self._next_trouble(call)
        if trouble is _Trouble.REFUSED:
            raise Rejected(f"told to refuse {call}")
        if trouble is _Trouble.UNAVAILABLE_BEFORE:
            raise Unavailable(f"told to be unavailable before {call}")
        answer = await act()
        self._check_is_up(call)
        if trouble is _Trouble.UNAVAILABLE_AFTER:
            raise Unavailable(f"told to be unavailable after {call}")
        return answer

    async def _wait_for_release(self, call: Call) -> None:
        while (hanging := self._hanging.get(call)) is not None:
            await hanging.wait()

    def _check_is_up(self, call: Call) -> None:
        if self._is_down:
            raise Unavailable(f"told to be down, {call} included")

    def _next_trouble(self, call: Call) -> _Trouble | None:
        for index, planned in enumerate(self._planned):
            if planned.call in (None, call):
                return self._planned.pop(index).trouble
        return None
