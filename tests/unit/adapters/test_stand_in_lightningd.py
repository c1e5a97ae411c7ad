"""The stand-in for lightningd behaves as notes and recordings say, and Core Lightning's own client can talk to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pyln.client import LightningRpc, RpcError

from helpers.paying_by_hand import pay_by_hand
from helpers.stand_in_lightningd import Hooks, Network, Process, StandIn
from lnrecur.adapters.nodes.cln import ClnRefused, ClnRpc, ClnUnavailable
from lnrecur.adapters.nodes.cln.methods import METHODS
from lnrecur.crypto.hashes import sha256
from lnrecur.wire.text import encode_text

PREIMAGE = bytes(range(32))


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[StandIn]:
    one = StandIn(tmp_path / "l1", tmp_path / "network.sqlite")
    await one.start()
    yield one
    await one.close()


def asked(node: StandIn) -> LightningRpc:
    """Core Lightning's own client. It blocks, so it is called in a thread."""
    return LightningRpc(str(node.rpc_file))


async def call(node: StandIn, method: str, **params: Any) -> Any:
    return await asyncio.to_thread(asked(node).call, method, params)


async def refusal(node: StandIn, method: str, **params: Any) -> dict[str, Any]:
    with pytest.raises(RpcError) as caught:
        await call(node, method, **params)
    error: dict[str, Any] = caught.value.error
    return error


async def make(node: StandIn, label: str = "one", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = await call(node, "invoice", amount_msat=1000, label=label, description="coffee", **more)
    return made


# --- Core Lightning's own client


async def test_pyln_client_asks_it(node: StandIn) -> None:
    told = await call(node, "getinfo")
    assert (told["id"], told["version"], told["network"]) == (node.id, "v26.06.6", "regtest")
    assert (await refusal(node, "nonsense"))["code"] == -32601
    assert (await refusal(node, "invoice", label="x"))["code"] == -32602


async def test_a_request_needs_no_separator_and_may_be_pipelined(node: StandIn) -> None:
    reader, writer = await asyncio.open_unix_connection(node.rpc_file)
    requests = [
        {"jsonrpc": "2.0", "id": "slow", "method": "waitanyinvoice", "params": {"timeout": 1}},
        {"jsonrpc": "2.0", "id": "quick", "method": "getinfo", "params": {}},
    ]
    data = "".join(json.dumps(request) for request in requests).encode()
    for at in range(0, len(data), 7):
        writer.write(data[at : at + 7])
        await writer.drain()
        await asyncio.sleep(0)
    first, second = [json.loads(await reader.readuntil(b"\n\n")) for _ in range(2)]
    assert (first["id"], second["id"]) == ("quick", "slow")
    assert second["error"]["code"] == 904
    writer.close()


async def test_a_filter_leaves_out_the_rest(node: StandIn) -> None:
    told = await ClnRpc(node.rpc_file).call("listnodes", only={"nodes": [{"nodeid": True}]})
    assert told == {"nodes": [{"nodeid": node.id}]}


# --- invoices


async def test_a_label_and_a_preimage_are_used_once(node: StandIn) -> None:
    await make(node, preimage=PREIMAGE.hex())
    assert (await refusal(node, "invoice", amount_msat=1, label="one", description=""))["code"] == 900
    again = await refusal(node, "invoice", amount_msat=1, label="two", description="", preimage=PREIMAGE.hex())
    assert (again["code"], again["message"]) == (901, "preimage already used")


async def test_only_an_invoice_of_the_told_status_is_deleted(node: StandIn) -> None:
    await make(node)
    wrong = await refusal(node, "delinvoice", label="one", status="paid")
    assert (wrong["code"], wrong["data"]) == (906, {"current_status": "unpaid", "expected_status": "paid"})
    assert (await call(node, "delinvoice", label="one", status="unpaid"))["label"] == "one"
    assert (await refusal(node, "delinvoice", label="one", status="unpaid"))["code"] == 905
    assert (await call(node, "listinvoices"))["invoices"] == []


async def test_the_datastore_compares_generations(node: StandIn) -> None:
    key = ["lnrecur", "a"]
    assert (await call(node, "datastore", key=key, string="1"))["generation"] == 0
    assert (await refusal(node, "datastore", key=key, string="2"))["code"] == 1202
    replaced = await call(node, "datastore", key=key, string="2", mode="must-replace", generation=0)
    assert (replaced["generation"], replaced["string"]) == (1, "2")
    assert (await refusal(node, "datastore", key=key, string="3", mode="must-replace", generation=0))["code"] == 1204
    assert (await refusal(node, "datastore", key=["b"], string="3", mode="must-replace"))["code"] == 1203
    assert [one["key"] for one in (await call(node, "listdatastore", key=["lnrecur"]))["datastore"]] == [key]
    assert (await call(node, "listdatastore"))["datastore"] == [{"key": ["lnrecur"]}]
    await call(node, "deldatastore", key=key)
    assert (await call(node, "listdatastore", key=key))["datastore"] == []


# --- the crashing calls


def lni(records: dict[int, bytes]) -> str:
    return encode_text("lni", b"".join(bytes([kind, len(value)]) + value for kind, value in records.items()))


async def ended(node: StandIn, **params: Any) -> str | None:
    asking = asyncio.ensure_future(call(node, "createinvoice", **params))
    for _ in range(1000):
        await asyncio.sleep(0.005)
        if node.crashed and not node.rpc_file.exists():
            break
    with pytest.raises((RpcError, ValueError, OSError)):
        await asking
    return node.crashed


async def test_createinvoice_without_payment_hash_and_paths_ends_it(node: StandIn) -> None:
    assert "SIGSEGV" in str(await ended(node, invstring=lni({170: b"\x01"}), label="x", preimage=PREIMAGE.hex()))


async def test_createinvoice_with_the_hash_of_another_label_ends_it(node: StandIn) -> None:
    await make(node, preimage=PREIMAGE.hex())
    known = lni({168: sha256(PREIMAGE), 170: b"\x01"})
    assert (await refusal(node, "createinvoice", invstring=known, label="one", preimage=""))["code"] == -32601
    assert "SIGABRT" in str(await ended(node, invstring=known, label="two", preimage=PREIMAGE.hex()))


class Odd(Hooks):
    async def call(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        return {"result": "hold"} if name == "invoice_payment" else {"result": "continue"}


async def test_an_unknown_hook_result_ends_it(tmp_path: Path) -> None:
    network = Network(tmp_path / "network.sqlite")
    nodes = [StandIn(tmp_path / name, network.file, hooks=Odd()) for name in ("l1", "l2")]
    for one in nodes:
        await one.start()
    payer, payee = nodes
    scid = network.open_channel(payer.id, payee.id, (5_000, 0))

    await pay_by_hand(network, payer, payee, scid, await make(payee), 1000)
    for _ in range(1000):
        await asyncio.sleep(0.005)
        if payee.crashed:
            break
    assert "Invalid invoice_payment hook result" in str(payee.crashed)
    await asyncio.gather(*(one.close() for one in nodes))
    network.close()


# --- a process


@pytest.mark.slow
async def test_what_it_answered_survives_a_kill(tmp_path: Path) -> None:
    process = Process(tmp_path / "l1", tmp_path / "network.sqlite")
    rpc = ClnRpc(process.rpc_file)
    process.start()
    try:
        made = await rpc.call("invoice", {"amount_msat": 1000, "label": "one", "description": "coffee"})
        process.kill()
        with pytest.raises(ClnUnavailable, match="nobody listens"):
            await rpc.call("getinfo")
        process.start()
        [invoice] = (await rpc.call("listinvoices"))["invoices"]
        assert invoice["bolt11"] == made["bolt11"]
        with pytest.raises(ClnRefused, match="Duplicate label"):
            await rpc.call("invoice", {"amount_msat": 1000, "label": "one", "description": "coffee"})
    finally:
        process.stop()


def test_it_has_every_command_that_lnrecur_uses(tmp_path: Path) -> None:
    one = StandIn(tmp_path / "l1", tmp_path / "network.sqlite")
    known = set(one.commands) | {"injectonionmessage"}  # that one comes with the plugin host
    assert METHODS.keys() <= known
    one.network.close()
