"""What runs in the plugin's event loop: the daemon, the commands and the hooks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from lnrecur.adapters.nodes.cln import ClnRpc, ClnUnavailable
from lnrecur.adapters.nodes.cln.held import HeldPayments
from lnrecur.adapters.nodes.cln.hook_answers import HookAnswer, MessageAnswer, PaymentAnswer
from lnrecur.adapters.nodes.cln.hook_messages import HookUnreadable, read_onion_message, read_payment
from lnrecur.adapters.nodes.cln.plugin_wire import Call, PluginWire
from lnrecur.daemon.bootstrap import Within, run_daemon
from lnrecur.daemon.config import ProcessRole, Settings
from lnrecur.daemon.files import AlreadyRunning, read_seed
from lnrecur.daemon.http.routes import Routes
from lnrecur.daemon.http.server import CannotServe, stop_on_signals
from lnrecur.daemon.message_settings import message_router
from lnrecur.daemon.speaking import HostSpeech, Speech
from lnrecur.errors import LnrecurError
from lnrecur.messaging.messenger import Delivered
from lnrecur.plugin.catalogue import HOLD_S_MAX
from lnrecur.plugin.commands import FOR_NOW, PLUGIN_ERROR, Commands, error_of
from lnrecur.plugin.options import ANY_PORT, Prepared
from lnrecur.service.assembly import Services
from lnrecur.service.guest import IN_HAND_MAX, GuestInbox, is_for_us
from lnrecur.service.keyring import Keyring
from lnrecur.values import NodeId

_LOG = logging.getLogger("lnrecur.plugin")
STARTING_S_MAX: Final = 50.0
"""How long a command waits for a daemon that is starting."""
PREDECESSOR_S_MAX: Final = 20.0
"""How long a daemon that runs on the same files is given to end."""
_ASK_AGAIN_S: Final = 0.5


class Inside:
    """One run of the daemon inside lightningd."""

    def __init__(self, wire: PluginWire, prepared: Prepared) -> None:
        """Nothing is started yet."""
        self._wire = wire
        self._prepared = prepared
        self._rpc = ClnRpc(prepared.rpc_file)
        self._keyring = Keyring.derive(read_seed(prepared.home))
        self.held = HeldPayments()
        self._early: list[Delivered] = []
        self._inbox: GuestInbox | None = None
        self._speech: HostSpeech | None = None
        self._commands: asyncio.Future[Commands] | None = None
        self._handling: set[asyncio.Task[None]] = set()
        self._hooks: dict[str, Callable[[Any], Awaitable[HookAnswer]]] = {
            "onion_message_recv_secret": self._message,
            "invoice_payment": self._payment,
        }

    async def run(self, attach: Callable[[], None]) -> None:
        """Run the daemon until `stop`; `attach` is called once calls can be handed over.

        Raises:
            LnrecurError: it cannot start, or cannot go on.
        """
        self._loop = asyncio.get_running_loop()
        self._stop = stop_on_signals()
        self._commands = self._loop.create_future()
        attach()
        if self._prepared.is_new:
            seed = self._prepared.home.seed
            _LOG.warning(
                "a new seed was made: back up %s (lnrecur backup), everything of lnrecur follows from it", seed
            )
        within = Within(stop=self._stop, ready=self._ready, speech=self._speak, held=self.held)
        try:
            await self._run_daemon(within)
        finally:
            self._commands.cancel()
            for task in self._handling:
                task.cancel()
            await asyncio.gather(*self._handling, return_exceptions=True)
            if self._inbox is not None:
                await self._inbox.close()

    async def _run_daemon(self, within: Within) -> None:
        """Run it; again where something is in the way that goes away, or that can be gone around.

        Where lightningd was killed and is back at once, the plugin of its last life may still be on its way out; and
        somebody may take the usual port between our look at it and our serving there.
        """
        until, settings = self._loop.time() + PREDECESSOR_S_MAX, self._prepared.settings
        while True:
            try:
                await run_daemon(self._prepared.home, settings, ProcessRole.ALL, _LOG.info, within)
            except AlreadyRunning as error:
                if self._stop.is_set() or self._loop.time() > until:
                    raise
                _LOG.info("waiting for another daemon to end: %s", error)
                await asyncio.sleep(_ASK_AGAIN_S)
            except CannotServe as error:
                if not self._prepared.any_port or settings.http_listen == ANY_PORT:
                    raise
                _LOG.info("serving HTTP on a free port: %s", error)
                settings = replace(settings, http_listen=ANY_PORT)
            else:
                return

    # --- from the reading thread -------------------------------------------------------------------------------------

    def hand_over(self, call: Call) -> None:
        """Have a call handled in the loop."""
        self._in_loop(lambda: self._begin(call))

    def peers_changed(self, peer: str | None) -> None:
        """A peer of the node has come or gone."""
        self._in_loop(lambda: self._look_again(peer))

    def stop(self) -> None:
        """End the daemon."""
        self._in_loop(lambda: self._stop.set())

    def message_otherwise(self, params: Any) -> MessageAnswer:
        """What becomes of a message that could not be handled: ours is lost, and asked again; others pass by.

        One of ours must not pass by: the node's own offers plugin would answer that it knows no such offer.
        """
        return MessageAnswer.CONTINUE if self._delivered(params) is None else MessageAnswer.TAKEN

    def _in_loop(self, deed: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(deed)
        except RuntimeError:  # the loop is closed: everything is over, and the wire answers what is open
            return

    # --- in the loop -------------------------------------------------------------------------------------------------

    def _look_again(self, peer: str | None) -> None:
        if self._speech is not None:
            self._speech.look_again(None if peer is None else NodeId(bytes.fromhex(peer)))

    def _begin(self, call: Call) -> None:
        handling = self._command(call) if call.hook is None else self._hook(call)
        task = self._loop.create_task(handling, name=call.method)
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)

    async def _speak(self, settings: Settings) -> Speech:
        host, router = await self._host_id(), message_router(settings)
        self._speech = HostSpeech(self._rpc, host, router, settings.peer_addresses)
        return self._speech

    async def _host_id(self) -> NodeId:
        """Who the node is; lightningd answers once it has started everything."""
        while True:
            try:
                return NodeId(bytes.fromhex((await self._rpc.call("getinfo"))["id"]))
            except ClnUnavailable as error:
                _LOG.info("lightningd does not answer yet: %s", error)
            await asyncio.sleep(_ASK_AGAIN_S)

    def _ready(self, services: Services, settings: Settings, peer: str | None) -> None:
        if self._speech is not None:
            self._inbox = GuestInbox(services.courier)
            for delivered in self._early:
                self._inbox.take(delivered)
            self._early.clear()
        if self._commands is not None:
            self._commands.set_result(Commands(Routes(services, settings, peer, self._stop.is_set)))

    # --- commands ----------------------------------------------------------------------------------------------------

    async def _command(self, call: Call) -> None:
        try:
            async with asyncio.timeout(STARTING_S_MAX):
                commands = await asyncio.shield(self._known_commands())
            self._wire.answer(call, await commands.perform(call.method, call.params))
        except LnrecurError as error:
            self._wire.refuse(call, *error_of(error))
        except (TimeoutError, asyncio.CancelledError) as error:
            self._wire.refuse(call, FOR_NOW, "lnrecur is not running yet, or not any more: see the node's log")
            if isinstance(error, asyncio.CancelledError):
                raise
        except Exception:  # noqa: BLE001 - a bug in one command is told to who called it, and ends nothing else
            _LOG.exception("%s met a bug", call.method)
            self._wire.refuse(call, PLUGIN_ERROR, "this is a bug of lnrecur: the node's log has the details")

    async def _known_commands(self) -> Commands:
        assert self._commands is not None
        return await self._commands

    # --- hooks -------------------------------------------------------------------------------------------------------

    async def _hook(self, call: Call) -> None:
        """Answer a hook. Whatever goes wrong here, the wire has an answer for it."""
        try:
            answer = await self._hooks[call.method](call.params)
        except Exception:  # noqa: BLE001 - lightningd waits for an answer, whatever our bugs are
            _LOG.exception("%s met a bug", call.method)
            self._wire.fail_hook(call)
        except asyncio.CancelledError:
            self._wire.fail_hook(call)
            raise
        else:
            self._wire.answer_hook(call, answer)

    async def _message(self, params: Any) -> HookAnswer:
        """An onion message over a path with a secret: ours, or the next plugin's."""
        delivered = self._delivered(params)
        if delivered is None:
            return MessageAnswer.CONTINUE
        if self._inbox is not None:
            self._inbox.take(delivered)
        elif len(self._early) < IN_HAND_MAX:
            self._early.append(delivered)
        return MessageAnswer.TAKEN

    def _delivered(self, params: Any) -> Delivered | None:
        """A message, if it is ours."""
        if self._prepared.settings.messages != "plugin":
            return None
        try:
            delivered = read_onion_message(params)
        except HookUnreadable as error:
            _LOG.info("left to the node's own plugins: %s", error)
            return None
        return delivered if is_for_us(self._keyring, delivered) else None

    async def _payment(self, params: Any) -> HookAnswer:
        """A payment has arrived. It waits here until it is claimed or failed back, but not for ever."""
        paid = read_payment(params)
        if not self.held.is_ours(paid.label):
            return PaymentAnswer.CONTINUE
        try:
            async with asyncio.timeout(HOLD_S_MAX):
                return await self.held.arrived(paid.label, paid.preimage, paid.amount_msat)
        except TimeoutError:
            _LOG.warning("a payment of %d msat for %s was not decided in time", paid.amount_msat, paid.label)
            return PaymentAnswer.REJECT
