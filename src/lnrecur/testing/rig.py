"""Whole nodes in one process, on virtual time: the real services between stand-ins for everything outside.

What it guarantees: the same seed and the same calls give the same story, to the byte. Nothing waits for real time, so a
year of billing passes in a second, and no message, payment or receipt is handled while nobody runs the rig.

    async with Rig(seed=1) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = merchant.payee.create_offer(terms, OfferPolicy())
        alice.payer.subscribe(Offer.from_bytes(offer.offer), mandate, Terms())
        await rig.run_for(90 * 24 * 3600)
        assert [paid.booking.counter for paid in alice.manager.payments()] == [0, 1, 2]

A node can be dropped at any moment with `crash` and brought back with `restart`: its store, its money node and its seed
outlive it, everything else is gone, as after a power cut. Money moves within a `MemoryLedger`; each node's money node
is wrapped in a `ScriptedNode`, which makes trouble as told. What a network does to messages is set in `network.faults`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sized
from copy import deepcopy
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import ClassVar, Final, Self

from lnrecur.adapters.nodes.playmoney.htlc import OPENING_BALANCE
from lnrecur.adapters.router import GraphRouter
from lnrecur.crypto.hashes import sha256
from lnrecur.errors import Fault, LnrecurError, UsageError
from lnrecur.messaging.graph import MessageGraph
from lnrecur.ports import RecurrenceManager, Seat
from lnrecur.service.assembly import Parts, Services
from lnrecur.service.courier import MessageSettings
from lnrecur.service.keyring import Keyring
from lnrecur.service.payee import PayeeService
from lnrecur.service.payer import PayerService
from lnrecur.testing.memory_node import MemoryLedger, MemoryMoneyNode
from lnrecur.testing.memory_store import MemoryRecurrenceManager
from lnrecur.testing.network import Faults, MemoryLink, MemoryNetwork
from lnrecur.testing.scripted_node import ScriptedNode
from lnrecur.testing.seeded_entropy import SeededEntropy
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST, Msat, NodeId

START: Final = 1_767_225_600
"""2026-01-01 00:00:00 UTC: when a rig's clock begins."""
_QUIET_TURNS: Final = 16
"""Turns of the event loop without a sign of life after which nothing moves any more; no chain of tasks is as long.

Only for event loops that do not show what is ready to run; those of the standard library do.
"""
_TURNS_MAX: Final = 20_000
"""Turns of the event loop within one moment after which something is going round in circles."""
_NAP_S: Final = 400 * 24 * 3600
"""A scheduler that has nothing to do sleeps on: nobody but its own node writes to a rig's store."""


class NeverAtRest(LnrecurError):
    """Things went on and on within one moment: somebody is busy with nothing."""

    fault: ClassVar[Fault] = Fault.OURS


class RigClock(VirtualClock):
    """The rig's time. It counts who goes to sleep, which every task does that has done its work."""

    def __init__(self, start: int) -> None:
        super().__init__(start)
        self.sleeps = 0

    async def sleep_until(self, moment: float) -> None:
        """As `VirtualClock.sleep_until`."""
        self.sleeps += 1
        await super().sleep_until(moment)


@dataclass(slots=True)
class RigNode:
    """One node of a rig. `services` are those of its present life, None while it is down."""

    name: str
    keyring: Keyring
    money: ScriptedNode
    account: MemoryMoneyNode
    """What `money` wraps: the account in the ledger."""
    entropy: SeededEntropy
    manager: RecurrenceManager
    open_manager: Callable[[], RecurrenceManager] | None = None
    dress: Callable[[Parts], Parts] | None = None
    seat: Seat = field(default_factory=lambda: Seat("rig"))
    colleague_of: str | None = None
    """Whose store and money node it shares, as another process of the same node."""
    services: Services | None = None
    running: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def node_id(self) -> NodeId:
        """What its peers know it by."""
        return self.keyring.node_id

    @property
    def payee(self) -> PayeeService:
        """It sells.

        Raises:
            UsageError: the node is down.
        """
        return self._alive().payee

    @property
    def payer(self) -> PayerService:
        """It pays.

        Raises:
            UsageError: the node is down.
        """
        return self._alive().payer

    def _alive(self) -> Services:
        if self.services is None:
            raise UsageError(f"{self.name} is down: restart it first", field="name")
        return self.services


class Rig:
    """A small world of nodes. Use it as an async context manager: leaving it ends all that it started."""

    def __init__(
        self,
        seed: int = 0,
        *,
        start: int = START,
        faults: Faults | None = None,
        messages: MessageSettings | None = None,
    ) -> None:
        """An empty world at `start` (seconds since 1970), with all its chance taken from `seed`.

        `messages`: how its nodes send and relay, unless their `dress` says otherwise. Without it: paced, no relaying.
        """
        self.seed = seed
        self.messages = MessageSettings() if messages is None else messages
        self.graph = MessageGraph()
        """What every node's router knows of who passes on messages; empty until somebody writes into it."""
        self.clock = RigClock(start)
        self.network = MemoryNetwork(seed, faults, self.clock)
        self.ledger = MemoryLedger()
        self.nodes: dict[str, RigNode] = {}
        self.on_moment: Callable[[], None] | None = None
        """Called whenever nothing moves any more, before time goes on; what it raises ends the run."""
        self._fallen: list[asyncio.Task[None]] = []
        self._ended: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self.nodes:
            self.crash(name)
        await self._bury()

    # --- nodes -------------------------------------------------------------------------------------------------------

    async def join(
        self,
        name: str,
        *,
        open_manager: Callable[[], RecurrenceManager] | None = None,
        dress: Callable[[Parts], Parts] | None = None,
        opening_balance_msat: Msat = OPENING_BALANCE,
        twin_of: str | None = None,
        shares_money: bool = True,
        can_hold: bool = True,
        seat: Seat | None = None,
        colleague_of: str | None = None,
    ) -> RigNode:
        """Add a node and start it.

        Args:
            name: what it is called here; with the rig's seed it decides the node's own seed.
            open_manager: opens its store, at every start anew; without it, one in memory lives as long as the rig.
            dress: a last change to the parts of each life: wrap one to watch it, or to break it.
            opening_balance_msat: its play money.
            twin_of: a node whose seed it was restored from, together with a copy of its store as it is now, or with
                what `open_manager` opens. Only its name towards peers is another one: nobody on this network can have
                two places.
            shares_money: whether a twin moves money by the same money node, or by one of its own.
            can_hold: whether its money node lets payments wait to be claimed.
            seat: what this process takes on, where several share a store; without it, everything.
            colleague_of: the process that speaks with peers, of the same seed and money node; `open_manager` opens the
                store that both share, and `dress` gives both their beats and doorbells.

        Raises:
            UsageError: there is a node of this name.
        """
        if name in self.nodes:
            raise UsageError(f"there is a {name} already", field="name")
        seed = _seed_of(self.seed, name)
        keyring = Keyring.derive(seed)
        account: MemoryMoneyNode | None = None
        if twin_of is not None:
            first = self.nodes[twin_of]
            keyring = replace(first.keyring, identity=keyring.identity, money=keyring.money)
            open_manager = open_manager or _copier(first.manager)
            account = first.account if shares_money else None
        if colleague_of is not None:
            keyring, account = self.nodes[colleague_of].keyring, self.nodes[colleague_of].account
        if account is None:
            account = self._account(keyring, opening_balance_msat, can_hold)
        self.nodes[name] = RigNode(
            name=name,
            keyring=keyring,
            money=ScriptedNode(account, self.clock) if colleague_of is None else self.nodes[colleague_of].money,
            account=account,
            # One stream for all lives of a node: who comes back must not draw again what was drawn before.
            entropy=SeededEntropy(int.from_bytes(seed[:8], "big")),
            manager=MemoryRecurrenceManager() if open_manager is None else open_manager(),
            open_manager=open_manager,
            dress=dress,
            seat=Seat(name) if seat is None else seat,
            colleague_of=colleague_of,
        )
        return await self._start(self.nodes[name])

    def _account(self, keyring: Keyring, balance_msat: Msat, can_hold: bool) -> MemoryMoneyNode:
        return MemoryMoneyNode(
            self.ledger,
            keyring.money,
            self.clock,
            opening_balance_msat=balance_msat,
            chain=REGTEST,
            can_hold=can_hold,
        )

    def crash(self, name: str) -> None:
        """Drop a node's services on the spot; what it was doing is cut off where it waits. Harmless when it is down."""
        node = self.nodes[name]
        if node.colleague_of is None:
            self.network.leave(node.node_id)
        if node.running is not None:
            node.running.cancel()
            self._fallen.append(node.running)
        node.services = node.running = None

    async def restart(self, name: str) -> RigNode:
        """Start a node again over its store, its money node and its seed; a running one crashes first."""
        self.crash(name)
        await self._bury()
        node = self.nodes[name]
        if node.open_manager is not None:
            node.manager = node.open_manager()
        return await self._start(node)

    async def _start(self, node: RigNode) -> RigNode:
        parts = Parts(
            manager=node.manager,
            node=node.money,
            link=MemoryLink(node.node_id, self.network) if node.colleague_of else self.network.link(node.node_id),
            router=GraphRouter(graph=self.graph),
            clock=self.clock,
            entropy=node.entropy,
            chain=REGTEST,
            messages=self.messages,
            seat=node.seat,
        )
        node.services = Services(node.keyring, parts if node.dress is None else node.dress(parts), nap_s_max=_NAP_S)
        node.running = asyncio.get_running_loop().create_task(node.services.run(), name=f"services of {node.name}")
        node.running.add_done_callback(self._ended.append)
        await self.settle()
        return node

    async def _bury(self) -> None:
        """Wait until what fell has come to its end; how it ended means nothing."""
        while self._fallen:
            await asyncio.gather(*[self._fallen.pop() for _ in range(len(self._fallen))], return_exceptions=True)

    # --- time --------------------------------------------------------------------------------------------------------

    async def run_for(self, seconds: int) -> None:
        """Let this much time pass; see `run_until`."""
        await self.run_until(self.clock.now() + seconds)

    async def run_until(self, moment: int, *, stop: Callable[[], bool] = lambda: False) -> None:
        """Let time pass up to `moment`, step by step: whatever waits for a moment before it happens at that moment.

        `stop` is asked after each step; once it says True, time stops where it is.

        Raises:
            BaseException: a node's services ended, or a handler met a bug; exactly what they raised.
        """
        await self.settle()
        while not stop():
            at = self._next_moment()
            over = at is None or at > moment
            self.clock.advance_to(max(moment if at is None or over else at, self.clock.precise()))
            await self.settle()
            if over:
                return

    async def settle(self) -> None:
        """Let everything happen that can happen now, and return when nothing moves any more.

        Raises:
            BaseException: a node's services ended, or a handler met a bug; exactly what they raised.
        """
        ready: Sized | None = getattr(asyncio.get_running_loop(), "_ready", None)
        quiet, seen, turns = 0, self._signs_of_life() if ready is None else (), 0
        while quiet < _QUIET_TURNS:
            turns += 1
            if turns > _TURNS_MAX:
                raise NeverAtRest(f"nothing comes to rest at {self.clock.now()}, after {turns:,} turns")
            self.network.deliver()
            await asyncio.sleep(0)
            await self._bury()
            self._raise_failures()
            if ready is not None:
                quiet = 0 if ready or self.network.has_arrived() else _QUIET_TURNS
                continue
            signs = self._signs_of_life()
            quiet, seen = (quiet + 1 if signs == seen else 0), signs
        if self.on_moment is not None:
            self.on_moment()

    def _signs_of_life(self) -> tuple[int, ...]:
        calls = sum(node.money.calls.total() for node in self.nodes.values())
        return (self.network.submitted, self.clock.sleeps, calls)

    def _next_moment(self) -> float | None:
        moments = (self.clock.next_wake(), self.network.next_arrival())
        return min((moment for moment in moments if moment is not None), default=None)

    def _raise_failures(self) -> None:
        if self.network.failures:
            raise self.network.failures.pop(0)
        while self._ended:
            ended = self._ended.pop()
            if any(node.running is ended for node in self.nodes.values()):  # what was crashed may end as it likes
                ended.result()


def _copier(manager: RecurrenceManager) -> Callable[[], RecurrenceManager]:
    """Answers one copy of a store as it is now, again and again."""
    copied = deepcopy(manager)
    if isinstance(copied, MemoryRecurrenceManager):
        copied.forget_owner()
    return lambda: copied


def keyring_of(seed: int, name: str) -> Keyring:
    """The keys of a node in the rig of a seed, unless it is somebody's twin."""
    return Keyring.derive(_seed_of(seed, name))


def _seed_of(seed: int, name: str) -> bytes:
    return sha256(b"lnrecur rig", str(seed).encode(), b"/", name.encode())
