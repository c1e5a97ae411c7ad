"""The HTTP server inside our own event loop: uvicorn, without its hands on the signals."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from lnrecur.daemon.config import split_listen
from lnrecur.errors import Fault, LnrecurError

_LOG = logging.getLogger("lnrecur.http")
_STOP_S_MAX: Final = 5


class CannotServe(LnrecurError):
    """The HTTP port is taken or not ours to take."""

    fault = Fault.ENVIRONMENT


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def run_until_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    """Let `work` run until `stop` is set.

    Raises:
        Exception: what ended the work before its time.
    """
    working = asyncio.create_task(work, name="services")
    waiting = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        working.cancel()
        waiting.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)
        _LOG.info("stopped")


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `stop_on_signals`."""
        yield


class HttpServer:
    """Serves an ASGI application on one address."""

    def __init__(self, app: ASGIApp, listen: str) -> None:
        """Take the address, HOST:PORT.

        Raises:
            CannotServe: somebody has it.
        """
        host, port = split_listen(listen, "http_listen")
        self._socket = _bind(host, port)
        shown = f"[{host}]" if ":" in host else host
        self.address: Final = f"{shown}:{self._socket.getsockname()[1]}"
        self._uvicorn = _Uvicorn(
            uvicorn.Config(app, log_config=None, lifespan="off", access_log=False, server_header=False)
        )

    async def serve_while(self, work: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
        """Serve while `work` runs, until `stop` is set.

        Raises:
            Exception: what ended the work, or the server, before its time.
        """
        working = asyncio.create_task(work, name="services")
        serving = asyncio.create_task(self._uvicorn.serve([self._socket]), name="http")
        waiting = asyncio.create_task(stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait((working, serving, waiting), return_when=asyncio.FIRST_COMPLETED)
            for task in done - {waiting}:
                task.result()
        finally:
            stop.set()
            self._uvicorn.should_exit = True
            working.cancel()
            await asyncio.gather(working, waiting, return_exceptions=True)
            await asyncio.wait((serving,), timeout=_STOP_S_MAX)
            _LOG.info("stopped")


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise CannotServe(f"cannot serve HTTP on {host}:{port}: {why}") from error
    # asyncio sets this only on sockets that name their protocol, and answers of two packets then wait 40 ms.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound
