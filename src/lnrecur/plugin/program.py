"""The plugin's life: lightningd starts it, asks for its manifest, gives it its options, and uses it until it hangs up.

Three threads. Two belong to the wire (plugin_wire.py) and never wait for us; this file's receiver runs on the reading
one, so it only hands on. The daemon, with everything that takes time, lives in the event loop of the main thread. What
comes before the loop is there, or before the daemon is up, waits for it, hooks until their deadlines.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from lnrecur.adapters.nodes.cln.hook_answers import HookAnswer, MessageAnswer
from lnrecur.adapters.nodes.cln.plugin_wire import Call, PluginWire
from lnrecur.plugin.catalogue import COMMANDS, HOOKS, manifest

if TYPE_CHECKING:
    from lnrecur.plugin.inside import Inside

_LOG = logging.getLogger("lnrecur.plugin")
_METHOD_NOT_FOUND: Final = -32601
EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
LEAVE_S_MAX: Final = 15.0
"""What is not over by then is cut off, as by a crash, which the daemon is made for: nobody is left to talk to."""


class Program:
    """A `plugin_wire.Receiver`, and what runs behind it."""

    def __init__(self, stdin: int, stdout: int) -> None:
        """Nothing is read before `run`."""
        message = HOOKS["onion_message_recv_secret"]
        hooks = {**HOOKS, message.name: replace(message, otherwise=self._message_otherwise)}
        self.wire = PluginWire(stdin, stdout, self, hooks)
        self._commands = {command.name for command in COMMANDS}
        self._init: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._manifest_told = threading.Event()
        self._lock = threading.Lock()
        self._inside: Inside | None = None
        self._waiting: list[Call] = []
        self._over = False

    # --- `Receiver`, on the reading thread ---------------------------------------------------------------------------

    def called(self, call: Call) -> None:
        """See `Receiver.called`."""
        if call.method == "getmanifest":
            self.wire.answer(call, manifest())
            self._manifest_told.set()
        elif call.method == "init":
            self._init.put(call)
        elif call.hook is not None or call.method in self._commands:
            with self._lock:
                if self._inside is None:
                    self._waiting.append(call)
                    return
            self._inside.hand_over(call)
        else:
            self.wire.refuse(call, _METHOD_NOT_FOUND, f"{call.method} is no command of lnrecur's")

    def notified(self, topic: str, params: Any) -> None:
        """See `Receiver.notified`."""
        if topic == "shutdown":
            self._stop()
        elif self._inside is not None and topic in ("connect", "disconnect"):
            self._inside.peers_changed(_peer_in(params))

    def ended(self) -> None:
        """See `Receiver.ended`."""
        self._stop()

    def _message_otherwise(self, params: Mapping[str, Any]) -> HookAnswer:
        inside = self._inside
        return MessageAnswer.CONTINUE if inside is None else inside.message_otherwise(params)

    def _stop(self) -> None:
        with self._lock:
            self._over = True
        self._manifest_told.set()
        self._init.put(None)
        if self._inside is not None:
            self._inside.stop()
        leave = threading.Timer(LEAVE_S_MAX, lambda: os._exit(EXIT_FAILED))
        leave.daemon = True
        leave.start()

    # --- the main thread ---------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve lightningd until it hangs up; answers the exit code."""
        self.wire.start()
        self._manifest_told.wait()
        try:
            return self._serve()
        finally:
            self.wire.close()

    def _serve(self) -> int:
        # Loading takes a while, and lightningd needs one to go on from the manifest to init: both at the same time.
        from lnrecur.errors import LnrecurError
        from lnrecur.plugin.inside import Inside
        from lnrecur.plugin.logs import log_to
        from lnrecur.plugin.options import prepare

        init = self._init.get()
        if init is None:
            return EXIT_DONE
        log_to(self.wire, "info")
        try:
            prepared = prepare(init.params)
        except LnrecurError as error:
            return self._disable(init, str(error))
        except Exception as error:  # noqa: BLE001 - lightningd is told, and goes on without us
            _LOG.exception("init met a bug")
            return self._disable(init, f"a bug of lnrecur, see the log: {error!r}")
        log_to(self.wire, prepared.settings.log_level)
        self.wire.answer(init, {})
        inside = Inside(self.wire, prepared)
        try:
            asyncio.run(inside.run(lambda: self._attach(inside)))
        except LnrecurError as error:
            _LOG.error("lnrecur ends: %s", error)
            return EXIT_FAILED
        except Exception:  # noqa: BLE001 - the last word: it goes to lightningd's log, and nowhere else
            _LOG.exception("lnrecur ends with a bug")
            return EXIT_FAILED
        return EXIT_DONE

    def _disable(self, init: Call, why: str) -> int:
        """Tell lightningd that there is nothing to use here; it goes on without us."""
        _LOG.error("lnrecur cannot start: %s", why)
        self.wire.answer(init, {"disable": why})
        return EXIT_FAILED

    def _attach(self, inside: Inside) -> None:
        """The loop runs: from now on calls go there, and first those that waited for it."""
        with self._lock:
            self._inside = inside
            waiting, self._waiting = self._waiting, []
            over = self._over
        for call in waiting:
            inside.hand_over(call)
        if over:
            inside.stop()


def _peer_in(params: Any) -> str | None:
    """The id in a notification about a peer: in an object under its topic (since v23.11), or by itself (before)."""
    if not isinstance(params, Mapping):
        return None
    told = next((params[topic] for topic in ("connect", "disconnect") if topic in params), params)
    found = told.get("id") if isinstance(told, Mapping) else None
    return found if isinstance(found, str) else None
