"""The client of lightningd's JSON-RPC: an answer is what lightningd said, and everything else is told apart."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import lnrecur.adapters.nodes.cln as package
from lnrecur.adapters.nodes.cln import ClnRefused, ClnRpc, ClnUnavailable, Trouble, rpc
from lnrecur.adapters.nodes.cln.methods import METHODS
from lnrecur.errors import Fault

Answering = Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(path: Path, answer: Answering) -> AsyncIterator[ClnRpc]:
    connections: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                request = json.loads(await reader.readuntil(b"\n\n"))
                await answer(request, writer)
                await writer.drain()
        finally:
            writer.close()
            connections.discard(task)

    server = await asyncio.start_unix_server(one, path)
    try:
        yield ClnRpc(path)
    finally:
        server.close()
        for task in set(connections):
            task.cancel()
        await asyncio.sleep(0.001)


def said(request: dict[str, Any], **answer: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}).encode() + b"\n\n"


def saying(*parts: Callable[[dict[str, Any]], bytes]) -> Answering:
    async def answer(request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part(request))
            await writer.drain()

    return answer


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lightning-rpc"


async def trouble(file: Path, answer: Answering, **extra: Any) -> ClnUnavailable:
    async with listening(file, answer) as cln:
        with pytest.raises(ClnUnavailable) as caught:
            await cln.call("getinfo", **extra)
    return caught.value


async def test_the_request_is_json_rpc_with_parameters_by_name(file: Path) -> None:
    asked: list[dict[str, Any]] = []

    async def answer(request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        asked.append(request)
        writer.write(said(request, result={}))

    async with listening(file, answer) as cln:
        await cln.call("listinvoices", {"label": "a", "index": None}, only={"invoices": [{"label": True}]})
        await cln.call("getinfo")
    first, second = asked
    assert first["params"] == {"label": "a"}
    assert first["filter"] == {"invoices": [{"label": True}]}
    assert (first["jsonrpc"], first["method"]) == ("2.0", "listinvoices")
    assert "filter" not in second
    assert first["id"] != second["id"]


async def test_an_answer_may_come_in_single_bytes(file: Path) -> None:
    async def answer(request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        for byte in said(request, result={"alias": "caf\u00e9"}):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    async with listening(file, answer) as cln:
        assert await cln.call("getinfo") == {"alias": "caf\u00e9"}


async def test_an_answer_may_be_large(file: Path) -> None:
    channels = [{"source": "02" * 33, "n": n} for n in range(100_000)]
    async with listening(file, saying(lambda request: said(request, result={"channels": channels}))) as cln:
        assert len((await cln.call("listchannels"))["channels"]) == 100_000


async def test_an_answer_without_end_is_given_up(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "ANSWER_BYTES_MAX", 100_000)
    told = await trouble(file, saying(*[lambda _: b" " * 65536] * 4))
    assert told.trouble is Trouble.NO_CLN


async def test_answers_to_somebody_else_and_notifications_are_passed_over(file: Path) -> None:
    notification = b'{"jsonrpc":"2.0","method":"message","params":{}}\n\n'
    async with listening(file, saying(lambda _: notification, lambda request: said(request, result={"a": 1}))) as cln:
        assert await cln.call("getinfo") == {"a": 1}
    told = await trouble(file, saying(lambda _: b'{"jsonrpc":"2.0","id":"other","result":{}}\n\n'))
    assert told.trouble is Trouble.NO_CLN


async def test_calls_at_the_same_time_get_their_own_answers(file: Path) -> None:
    order: list[asyncio.Event] = [asyncio.Event() for _ in range(5)]

    async def answer(request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        number = int(request["params"]["label"])
        if number < 4:
            await order[number + 1].wait()  # the last one asked is answered first
        order[number].set()
        writer.write(said(request, result={"told": number}))

    async with listening(file, answer) as cln:
        asked = [cln.call("listinvoices", {"label": str(number)}) for number in range(5)]
        assert [one["told"] for one in await asyncio.gather(*asked)] == [0, 1, 2, 3, 4]


async def test_a_refusal_has_code_words_and_data(file: Path) -> None:
    error = {"code": 900, "message": "Duplicate label 'x'", "data": {"label": "x"}}
    async with listening(file, saying(lambda request: said(request, error=error))) as cln:
        with pytest.raises(ClnRefused, match=r"Duplicate label 'x' \(Core Lightning's invoice, code 900\)") as caught:
            await cln.call("invoice", {"label": "x"})
    refused = caught.value
    assert (refused.code, refused.message, refused.data) == (900, "Duplicate label 'x'", {"label": "x"})
    assert refused.details() == {"method": "invoice", "code": 900}
    assert (refused.fault, refused.retry) == (Fault.NODE, False)


async def test_an_unknown_command_names_the_least_version(file: Path) -> None:
    error = {"code": -32601, "message": "Unknown command 'getinfo'"}
    told = await trouble(file, saying(lambda request: said(request, error=error)))
    assert told.trouble is Trouble.TOO_OLD
    assert "does not know getinfo: it takes" in str(told)


@pytest.mark.parametrize("code", [-4, -5])
async def test_a_command_cut_off_by_a_shutdown_may_have_acted(file: Path, code: int) -> None:
    error = {"code": code, "message": "lightningd is shutting down"}
    told = await trouble(file, saying(lambda request: said(request, error=error)))
    assert (told.trouble, told.retry) == (Trouble.STOPPING, True)


async def test_a_missing_socket_is_no_refusal(file: Path) -> None:
    for path in (file, file / "below"):
        with pytest.raises(ClnUnavailable, match="lightningd does not run, or has another rpc-file") as caught:
            await ClnRpc(path).call("getinfo")
        assert caught.value.trouble is Trouble.NO_SOCKET
        file.write_text("a file where a folder should be")
        file.unlink()
    file.write_text("no socket")
    with pytest.raises(ClnUnavailable, match="nobody listens"):
        await ClnRpc(file).call("getinfo")


async def test_a_socket_left_by_a_killed_lightningd_is_told(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(file))
    with pytest.raises(ClnUnavailable, match=r"nobody listens at .*: lightningd does not run") as caught:
        await ClnRpc(file).call("getinfo")
    assert caught.value.details() == {"trouble": "unreachable"}


async def test_a_socket_of_another_user_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_: str, limit: int) -> None:  # the tests may run as root, whom no permission stops
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asyncio, "open_unix_connection", refuse)
    with pytest.raises(ClnUnavailable, match="may not be used: Permission denied") as caught:
        await ClnRpc(file).call("getinfo")
    assert caught.value.trouble is Trouble.NOT_PERMITTED


@pytest.mark.parametrize("begin", [b"", b'{"jsonrpc": "2.0", "re'])
async def test_a_hang_up_leaves_open_what_happened(file: Path, begin: bytes) -> None:
    told = await trouble(file, saying(lambda _: begin))
    assert (told.trouble, told.retry) == (Trouble.UNREACHABLE, True)
    assert "hung up before it had answered" in str(told)


async def test_silence_ends_at_the_deadline(file: Path) -> None:
    async def answer(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    server = asyncio.ensure_future(trouble(file, answer, timeout_s=0.05))
    told = await asyncio.wait_for(server, 5)
    assert told.trouble is Trouble.UNREACHABLE
    assert "did not answer getinfo within 0.05 seconds" in str(told)


@pytest.mark.parametrize(
    "text",
    [b"HTTP/1.1 400 Bad Request", b"[]", b"\xff\xfe", b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600}}', b""],
    ids=str,
)
async def test_what_is_no_json_rpc_is_no_lightningd(file: Path, text: bytes) -> None:
    told = await trouble(file, saying(lambda _: text + b"\n\n"))
    assert told.trouble is Trouble.NO_CLN
    assert "is no lightningd" in str(told)


@pytest.mark.parametrize("answer", [{"result": 7}, {"result": None}, {"error": "no"}, {"error": {"message": "no"}}, {}])
async def test_an_answer_with_neither_result_nor_error_is_no_lightningd(file: Path, answer: dict[str, Any]) -> None:
    told = await trouble(file, saying(lambda request: said(request, **answer)))
    assert told.trouble is Trouble.NO_CLN


async def test_a_socket_in_a_deep_folder_is_reached(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    opened = os.open(folder, os.O_RDONLY)
    near = Path(f"/proc/self/fd/{opened}/lightning-rpc")
    async with listening(near, saying(lambda request: said(request, result={"deep": True}))):
        before = set(os.listdir("/proc/self/fd"))
        assert await ClnRpc(folder / "lightning-rpc").call("getinfo") == {"deep": True}
        assert len(os.listdir("/proc/self/fd")) <= len(before) + 1
    os.close(opened)


@pytest.mark.parametrize("method", ["createinvoice", "dev-forget-channel", "withdraw", "stop"])
async def test_a_command_that_is_not_listed_never_leaves(file: Path, method: str) -> None:
    with pytest.raises(AssertionError, match="no command that lnrecur uses"):
        await ClnRpc(file).call(method)


def test_createinvoice_is_written_nowhere_but_in_the_reason_why() -> None:
    """Two calls of it end lightningd. No text of the package names it, except docstrings that say so."""
    assert "createinvoice" not in METHODS
    folder = Path(inspect.getfile(package)).parent
    files = list(folder.glob("*.py"))
    assert len(files) > 2
    for source in files:
        tree = ast.parse(source.read_text())
        docstrings = {
            node.body[0].value
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
                assert "createinvoice" not in node.value, source
