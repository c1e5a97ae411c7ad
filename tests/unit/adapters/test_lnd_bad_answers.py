"""LND's REST answers without end, drop by drop, or with well-formed nonsense: unavailable, nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_lnd_adapter import HASH, NOW, ORDER, PREIMAGE, a_payment, an_invoice
from test_lnd_bolt11 import HOP, payment_path

from helpers.lnd_stand_in import INFO, NODE_ID, Cut, StandIn, a_channel
from lnrecur.adapters.nodes.lnd import LndNode, LndUnavailable, Trouble, answers, payments, rest
from lnrecur.ports import MoneyNodeError, SentState
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST


class Flood:
    """A body that never ends: so many bytes at a time, with pauses between them."""

    def __init__(self, part: bytes, pause_s: float = 0.0) -> None:
        self.part, self.pause_s = part, pause_s
        self.over = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        while not self.over.wait(self.pause_s):
            yield self.part


@pytest.fixture
def lnd(tmp_path: Path) -> Iterator[StandIn]:
    stand_in = StandIn(tmp_path / "lnd")
    yield stand_in
    for answer in stand_in.answers.values():
        if not callable(answer) and isinstance(answer[1], Flood):
            answer[1].over.set()
    stand_in.close()


@pytest.mark.parametrize("part", [b" " * 65536, b'{"a":"' + b"x" * 65536], ids=["blank", "one string"])
async def test_an_answer_without_end_is_given_up(lnd: StandIn, monkeypatch: pytest.MonkeyPatch, part: bytes) -> None:
    monkeypatch.setattr(answers, "BODY_MAX", 1_000_000)
    flood = (200, Flood(part))
    lnd.answers["GET /v1/getinfo"] = flood
    async with LndNode(lnd.access, VirtualClock(NOW), chain=REGTEST) as node:
        with pytest.raises(LndUnavailable, match="answers with more than 1,000,000 bytes") as refused:
            await node.info()
        assert refused.value.trouble is Trouble.NO_LND
        [finding] = await node.diagnose()
        assert "answers with more than" in finding.told
        lnd.answers["GET /v1/getinfo"] = (200, INFO)
        lnd.answers[f"GET /v2/router/track/{base64.urlsafe_b64encode(HASH).decode()}"] = (200, Flood(b"x" * 65536))
        for ask in (node.sent(HASH), node.follow(HASH)):  # a line of a stream
            with pytest.raises(LndUnavailable, match="answers with more than"):
                await ask


async def test_an_answer_drop_by_drop_is_given_up_after_a_while(lnd: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "WHOLE_S_MAX", 0.3)
    monkeypatch.setattr(payments, "ANSWER_S_MAX", 0.3)
    lnd.answers["GET /v1/getinfo"] = (200, Flood(b" ", 0.02))
    async with LndNode(lnd.access, VirtualClock(NOW), chain=REGTEST) as node:
        with pytest.raises(LndUnavailable, match="did not answer in full") as refused:
            await node.info()
        assert refused.value.trouble is Trouble.UNREACHABLE
        lnd.answers["GET /v1/getinfo"] = (200, INFO)
        lnd.answers["POST /v2/router/send"] = (200, Flood(b" ", 0.02))
        lnd.answers[f"GET /v2/router/track/{base64.urlsafe_b64encode(HASH).decode()}"] = (200, Flood(b" ", 0.02))
        for ask in (node.pay(a_payment()), node.sent(HASH)):
            with pytest.raises(LndUnavailable, match="does not say how far"):
                await ask


@pytest.mark.parametrize(
    "body", ["[" * 100_000, '{"a":' * 50_000, "9" * 5000, '{"version": ' + "9" * 5000 + "}", "\ufeff{}", "\x00"],
    ids=["deep list", "deep object", "long number", "long number inside", "byte order mark", "null"],
)  # fmt: skip
async def test_json_that_is_hard_on_a_reader_is_no_answer(lnd: StandIn, body: str) -> None:
    lnd.answers["GET /v1/getinfo"] = (200, body)
    async with LndNode(lnd.access, VirtualClock(NOW), chain=REGTEST) as node:
        with pytest.raises(LndUnavailable) as refused:
            await node.info()
        assert refused.value.trouble is Trouble.NO_LND


@pytest.mark.parametrize(
    "begun",
    [b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"],
    ids=["before an answer", "in the middle of one"],
)
async def test_an_lnd_that_goes_away_while_it_answers_is_unreachable_and_not_something_else(
    lnd: StandIn, begun: bytes
) -> None:
    """As it is when lnd is killed; a body in chunks that ends too early."""
    lnd.answers["GET /v1/getinfo"] = (200, Cut(begun))
    async with LndNode(lnd.access, VirtualClock(NOW), chain=REGTEST) as node:
        with pytest.raises(LndUnavailable, match="broke off") as refused:
            await node.info()
        assert refused.value.trouble is Trouble.UNREACHABLE


# --- well-formed nonsense: every call, every answer with something else in one place

PATH = payment_path(HOP)
POLICY = {
    "fee_base_msat": "1000", "fee_rate_milli_msat": "1", "time_lock_delta": 80, "min_htlc": "1000",
    "max_htlc_msat": "990000000", "disabled": False,
}  # fmt: skip
GOOD: dict[str, Any] = {
    "/v1/getinfo": INFO,
    "/v1/channels": {"channels": [{**a_channel(100), "remote_balance": "50", "peer_scid_alias": "7"}]},
    "/v1/graph/edge": {"node1_pub": NODE_ID, "node2_pub": NODE_ID, "node1_policy": POLICY, "node2_policy": POLICY},
    "/v1/graph/node": {"node": {"features": {"25": {}}}},
    "/v1/invoices": {"invoices": [an_invoice("SETTLED"), an_invoice(add_index="6")], "last_index_offset": "6"},
    "/v1/invoice/": an_invoice(),
    "/v2/invoices": {"state": "x"},
    "/v2/router/send": {"result": {"status": "IN_FLIGHT"}},
    "/v2/router/track": {
        "result": {
            "status": "FAILED", "failure_reason": "FAILURE_REASON_NO_ROUTE", "payment_request": "lnbc", "htlcs": [],
            "value_msat": "25000", "fee_msat": "1", "payment_preimage": PREIMAGE.hex(),
        }
    },
    "/v1/payreq": {
        "description": "x (lnrecur, fees up to 5 msat)", "num_msat": "25000", "features": {"25": {}},
        "blinded_paths": [
            {
                "base_fee_msat": "1", "proportional_fee_rate": 1,
                "blinded_path": {"introduction_node": base64.b64encode(bytes.fromhex(NODE_ID)).decode()},
            }
        ],
    },
    "/v1/graph/routes": {"routes": [{"total_fees_msat": "3", "hops": [{"amt_to_forward_msat": "25000"}]}]},
    "/v2/signer/sharedkey": {"shared_key": base64.b64encode(bytes(32)).decode()},
}  # fmt: skip
junk = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({}),
    st.just([None]), st.just({"x": 1}), st.just("9" * 30), st.just("-1"), st.just("0" * 66),
)  # fmt: skip


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, part in inside for place in _places(part, (*at, key)))]


def _changed(value: Any, place: tuple[Any, ...], to: Any) -> Any:
    if not place:
        return to
    copy = value.copy()
    copy[place[0]] = _changed(value[place[0]], place[1:], to)
    return copy


PLACES = [(path, place) for path, answer in GOOD.items() for place in _places(answer)]


async def _all_calls(node: LndNode) -> None:
    async def first_receipts() -> None:
        stream = node.receipts("lnd:4")
        async with asyncio.timeout(0.001):
            async for _ in stream:
                pass

    own = payment_path(HOP)
    calls: list[Callable[[], Awaitable[Any]]] = [
        node.info, node.inbound_edges, node.diagnose, first_receipts,
        lambda: node.register(ORDER), lambda: node.received(HASH), lambda: node.claim(PREIMAGE),
        lambda: node.cancel(HASH), lambda: node.pay(a_payment(paths=(PATH, own))), lambda: node.sent(HASH),
    ]  # fmt: skip
    for call in calls:
        try:
            answer = await call()
        except (MoneyNodeError, TimeoutError):
            continue
        assert not (call is calls[-1] and answer.state is SentState.UNKNOWN), "only LND's own word says that"


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PLACES), junk)
def test_whatever_one_answer_says_instead_no_call_fails_in_an_unknown_way(
    tmp_path_factory: pytest.TempPathFactory, where: tuple[str, tuple[Any, ...]], what: Any
) -> None:
    changed, place = where

    def answer(request: httpx.Request) -> httpx.Response:
        path = max((path for path in GOOD if request.url.path.startswith(path)), key=len, default=None)
        if path is None:
            return httpx.Response(404, json={"code": 5, "message": "unable to locate invoice"})
        told = _changed(GOOD[path], place, what) if path == changed else GOOD[path]
        return httpx.Response(200, content=json.dumps(told).encode() + b"\n")

    async def run() -> None:
        folder = tmp_path_factory.getbasetemp() / "bad"
        folder.mkdir(exist_ok=True)
        access = StandIn.files(folder)
        async with LndNode(access, VirtualClock(NOW), chain=REGTEST) as node:
            node._rest._connect = lambda: httpx.AsyncClient(  # type: ignore[method-assign]
                base_url=access.url, transport=httpx.MockTransport(answer)
            )
            await _all_calls(node)

    asyncio.run(run())


def test_the_answers_from_which_the_nonsense_is_made_are_good_ones(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        path = max(path for path in GOOD if request.url.path.startswith(path))
        return httpx.Response(200, content=json.dumps(GOOD[path]).encode() + b"\n")

    async def run() -> None:
        access = StandIn.files(tmp_path)
        async with LndNode(access, VirtualClock(NOW), chain=REGTEST) as node:
            node._rest._connect = lambda: httpx.AsyncClient(  # type: ignore[method-assign]
                base_url=access.url, transport=httpx.MockTransport(answer)
            )
            assert len(await node.inbound_edges()) == 1
            assert (await node.register(ORDER)).payment_hash == HASH
            await node.pay(a_payment())
            assert (await node.sent(HASH)).reason is not None

    asyncio.run(run())
