"""JSON-RPC over a unix socket, as lightningd speaks it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

_DECODER = json.JSONDecoder()


class RpcError(Exception):
    """A refusal of lightningd's."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data

    def shape(self) -> dict[str, Any]:
        """As it is told."""
        told: dict[str, Any] = {"code": self.code, "message": self.message}
        return told if self.data is None else {**told, "data": self.data}


Perform = Callable[[str, Any], Awaitable[dict[str, Any]]]


class RpcServer:
    """Listens; every request is a task of its own, so that a long one holds up nobody."""

    def __init__(self, path: Path, perform: Perform, *, chunk: int = 0) -> None:
        """`chunk`: write answers in pieces of so many bytes."""
        self._path, self._perform, self._chunk = path, perform, chunk
        self._server: asyncio.AbstractServer | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take the place of a socket that a killed one left."""
        self._path.unlink(missing_ok=True)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            near = f"/proc/self/fd/{folder}/{self._path.name}"
            self._server = await asyncio.start_unix_server(self._serve, near)
        finally:
            os.close(folder)

    async def stop(self) -> None:
        """Hang up on everybody."""
        if self._server is not None:
            self._server.close()
        for task in set(self._tasks):
            task.cancel()
        for writer in set(self._writers):
            writer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        this = asyncio.current_task()
        assert this is not None
        self._tasks.add(this)
        self._writers.add(writer)
        answering: set[asyncio.Task[None]] = set()
        buffer = ""
        try:
            while chunk := await reader.read(65536):
                buffer += chunk.decode()
                while buffer := buffer.lstrip():
                    try:
                        request, end = _DECODER.raw_decode(buffer)
                    except ValueError:
                        break  # not all of it is here yet
                    buffer = buffer[end:]
                    task = asyncio.ensure_future(self._answer(request, writer))
                    for tasks in (answering, self._tasks):
                        tasks.add(task)
                        task.add_done_callback(tasks.discard)
            # Who hangs up is not answered any more; the commands go on, as lightningd's do.
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(this)
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request.get("id")}
        try:
            result = await self._perform(request["method"], request.get("params", {}))
            answer["result"] = _filtered(result, request.get("filter"))
        except RpcError as error:
            answer["error"] = error.shape()
        except BaseException:
            writer.close()  # a bug of the stand-in: nobody shall wait for an answer
            raise
        data = json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
        with contextlib.suppress(ConnectionError, RuntimeError):
            step = self._chunk or len(data)
            for at in range(0, len(data), step):
                writer.write(data[at : at + step])
                await writer.drain()


def _filtered(told: Any, wanted: Any) -> Any:
    if isinstance(wanted, dict) and isinstance(told, dict):
        return {key: _filtered(told[key], below) for key, below in wanted.items() if key in told}
    if isinstance(wanted, list) and isinstance(told, list):
        return [_filtered(one, wanted[0]) for one in told]
    return told
