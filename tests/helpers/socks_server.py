"""A small SOCKS5 server (RFC 1928, no authentication, CONNECT only) that resolves names from a table of its own."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"


@dataclass
class SocksServer:
    """Where it listens, and what it was asked for: (kind of address, host, port)."""

    names: Mapping[str, str]
    port: int = 0
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    refuse_with: int = 0
    silent: bool = False
    serving: set[asyncio.Task[None]] = field(default_factory=set)
    """Held, since the event loop does not: a task that only waits for its own sockets may be collected with them."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()
            self.serving.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.silent:
            await reader.read()
            return
        version, methods = await reader.readexactly(2)
        assert version == 5
        assert 0 in await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        version, command, _, kind = await reader.readexactly(4)
        assert (version, command) == (5, 1)
        named = await self._read_address(reader, kind)
        self.asked.append(named)
        if self.refuse_with:
            writer.write(bytes([5, self.refuse_with, 0, 1]) + bytes(6))
            return
        far_reader, far_writer = await asyncio.open_connection(self.names.get(named[1], named[1]), named[2])
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            far_writer.close()

    async def _read_address(self, reader: asyncio.StreamReader, kind: int) -> tuple[str, str, int]:
        if kind == 3:
            (size,) = await reader.readexactly(1)
            told, host = "name", (await reader.readexactly(size)).decode()
        elif kind == 1:
            told, host = "ipv4", ".".join(map(str, await reader.readexactly(4)))
        else:
            told, host = "ipv6", (await reader.readexactly(16)).hex()
        return told, host, int.from_bytes(await reader.readexactly(2), "big")


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.write_eof()


@asynccontextmanager
async def socks_server(names: Mapping[str, str] | None = None) -> AsyncIterator[SocksServer]:
    told = SocksServer(names or {})
    server = await asyncio.start_server(told.serve, HOST, 0)
    told.port = server.sockets[0].getsockname()[1]
    async with server:
        yield told
        server.close()
        for task in (left := list(told.serving)):
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
