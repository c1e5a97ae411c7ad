"""lightningd's JSON-RPC over its unix socket: one connection per call, and every trouble told apart.

Not pyln-client: its calls block, so each `waitanyinvoice` and each payment would hold a thread, which no deadline and
no cancellation can free. What is needed of it is this file. Like it (and lightning-cli) we dial anew for each call,
which a unix socket does in microseconds: no answer can reach the wrong question, a long wait holds up nobody else, a
restart of lightningd needs no reconnecting, and giving up is hanging up. A command whose asker has gone goes on.

Guarantees: an answer is what lightningd said; everything else is raised. `ClnRefused` only when lightningd understood
the request and turned it down; `ClnUnavailable` for all the rest, when nothing can be concluded about what was asked.
Only commands of methods.py are ever sent.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from lnrecur.adapters.nodes.cln.errors import MINIMUM_VERSION, ClnRefused, ClnUnavailable, Trouble
from lnrecur.adapters.nodes.cln.methods import METHODS

ANSWER_S_MAX: Final = 20.0
ANSWER_BYTES_MAX: Final = 256 * 1024 * 1024
"""listchannels of the whole network takes some tens of megabytes."""
_CHUNK: Final = 256 * 1024
_END: Final = b"\n\n"
"""What every answer ends with, and what JSON text of lightningd never contains."""
_SOCKET_PATH_MAX: Final = 100
"""Unix sockets take paths of 107 bytes at most; longer ones are reached through their folder."""
_MAY_HAVE_ACTED: Final = (ClnRefused.PLUGIN_TERMINATED, ClnRefused.SHUTTING_DOWN)

Json = dict[str, Any]


class ClnRpc:
    """Asks one lightningd. Any number of calls at a time; nothing to open or close."""

    def __init__(self, socket: Path) -> None:
        """`socket` is lightningd's `rpc-file`: ~/.lightning/bitcoin/lightning-rpc, if nobody said otherwise."""
        self.socket = socket
        self._ids = itertools.count(1)

    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = ANSWER_S_MAX,
        only: Mapping[str, Any] | None = None,
    ) -> Json:
        """One command and its answer.

        Args:
            method: a command of `METHODS`.
            params: its parameters by name; those that are None are left out.
            timeout_s: real seconds until we hang up.
            only: lightningd's filter, such as {"nodes": [{"nodeid": true}]}: nothing else is told.

        Raises:
            ClnRefused: lightningd says no.
            ClnUnavailable: no answer that could be used; lightningd may have acted, and may still be acting.
        """
        if method not in METHODS:
            raise AssertionError(f"{method} is no command that lnrecur uses: see methods.py")
        asked = f"lnrecur:{method}#{os.getpid()}-{next(self._ids)}"
        told = {key: value for key, value in (params or {}).items() if value is not None}
        request: Json = {"jsonrpc": "2.0", "id": asked, "method": method, "params": told}
        if only is not None:
            request["filter"] = only
        try:
            async with asyncio.timeout(timeout_s):
                return await self._ask(request)
        except TimeoutError as error:
            said = f"lightningd at {self.socket} did not answer {method} within {timeout_s:g} seconds"
            raise ClnUnavailable(Trouble.UNREACHABLE, said) from error

    async def _ask(self, request: Json) -> Json:
        try:
            async with self._dial() as (reader, writer):
                writer.write(msgspec.json.encode(request) + _END)
                await writer.drain()
                buffer = bytearray()
                while True:
                    text = await self._next(reader, buffer)
                    answer = self._parse(text)
                    if answer.get("id") == request["id"]:
                        return self._result(answer, request["method"])
                    if "method" not in answer:  # a notification is no answer, and not ours to read
                        raise self._no_cln(text)
        except OSError as error:
            raise self._trouble_of(error) from error

    @asynccontextmanager
    async def _dial(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        path, folder = os.fspath(self.socket), None
        if len(os.fsencode(path)) > _SOCKET_PATH_MAX:
            folder = os.open(self.socket.parent, os.O_RDONLY | os.O_DIRECTORY)
            path = f"/proc/self/fd/{folder}/{self.socket.name}"
        try:
            reader, writer = await asyncio.open_unix_connection(path, limit=_CHUNK)
        finally:
            if folder is not None:
                os.close(folder)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def _next(self, reader: asyncio.StreamReader, buffer: bytearray) -> bytes:
        """The next JSON text; what was read beyond it stays in the buffer."""
        looked = 0
        while (end := buffer.find(_END, max(0, looked - 1))) < 0:
            looked = len(buffer)
            if looked > ANSWER_BYTES_MAX:
                raise ClnUnavailable(Trouble.NO_CLN, f"an answer at {self.socket} does not end")
            chunk = await reader.read(_CHUNK)
            if not chunk:
                told = f"lightningd at {self.socket} hung up before it had answered"
                raise ClnUnavailable(Trouble.UNREACHABLE, told)
            buffer += chunk
        text = bytes(buffer[:end])
        del buffer[: end + len(_END)]
        return text

    def _parse(self, text: bytes) -> Json:
        try:
            answer = msgspec.json.decode(text)
        except (msgspec.DecodeError, ValueError) as error:
            raise self._no_cln(text) from error
        if not isinstance(answer, dict):
            raise self._no_cln(text)
        return answer

    def _result(self, answer: Json, method: str) -> Json:
        result, error = answer.get("result"), answer.get("error")
        if isinstance(result, dict) and error is None:
            return result
        if not isinstance(error, dict) or not isinstance(error.get("code"), int):
            raise self._no_cln(msgspec.json.encode(answer))
        refused = ClnRefused(method, error["code"], str(error.get("message", "")), error.get("data"))
        if refused.code == ClnRefused.UNKNOWN_COMMAND:
            told = f"Core Lightning does not know {method}: it takes {MINIMUM_VERSION} or newer, with all its plugins"
            raise ClnUnavailable(Trouble.TOO_OLD, told) from refused
        if refused.code in _MAY_HAVE_ACTED:
            raise ClnUnavailable(Trouble.STOPPING, f"{refused}") from refused
        raise refused

    def _no_cln(self, text: bytes) -> ClnUnavailable:
        begin = " ".join(text[:200].decode(errors="replace").split())[:60]
        return ClnUnavailable(Trouble.NO_CLN, f"what answers at {self.socket} is no lightningd: {begin!r}")

    def _trouble_of(self, error: OSError) -> ClnUnavailable:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            told = f"there is no {self.socket}: lightningd does not run, or has another rpc-file"
            return ClnUnavailable(Trouble.NO_SOCKET, told)
        if error.errno in (errno.EACCES, errno.EPERM):
            return ClnUnavailable(Trouble.NOT_PERMITTED, f"{self.socket} may not be used: {error.strerror}")
        if error.errno == errno.ECONNREFUSED:
            return ClnUnavailable(Trouble.UNREACHABLE, f"nobody listens at {self.socket}: lightningd does not run")
        told = f"the connection to lightningd at {self.socket} broke: {error.strerror or error}"
        return ClnUnavailable(Trouble.UNREACHABLE, told)
