"""Payments by route against recorded answers: one record, one attempt, and every end told apart."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_lnd_adapter import HASH, NOW, PREIMAGE, SENT, a_payment
from test_lnd_bolt11 import HOP, payment_path

from helpers.lnd_stand_in import LOCKED, NOT_PERMITTED, StandIn, a_channel
from lnrecur.adapters.nodes.lnd import LndNode, LndUnavailable
from lnrecur.adapters.nodes.lnd.bolt11 import fits_bolt11
from lnrecur.crypto.keys import PrivateKey
from lnrecur.ports import FailureReason, PaymentPath, PayOrder, Rejected, Sent, SentState
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST, Msat

QUERY, SEND = "POST /v1/graph/routes//0", "POST /v2/router/route/send"
ROUTE: dict[str, Any] = {
    "total_fees_msat": "1002",
    "hops": [{"amt_to_forward_msat": "0", "chan_id": "1"}, {"amt_to_forward_msat": "25000", "chan_id": "0"}],
}
KNOWN = f"GET /v1/graph/node/{HOP.node.hex()}"
NO_PAYMENT = (404, {"error": {"code": 5, "message": "payment isn't initiated"}})
NO_PATH_FOUND = (500, {"code": 2, "message": "unable to find a path to destination", "details": []})
NO_BALANCE = (500, {"code": 2, "message": "insufficient local balance", "details": []})
IN_TRANSITION = (409, {"code": 6, "message": "payment is in transition", "details": []})


def path_of(*sizes: int) -> PaymentPath:
    """A path whose hops have so many bytes sealed for them."""
    path = payment_path(*[HOP] * (len(sizes) - 1))
    hops = [replace(hop, encrypted_recipient_data=bytes(size)) for hop, size in zip(path.path.hops, sizes, strict=True)]
    return replace(path, path=replace(path.path, hops=tuple(hops)))


def long_payment(**changes: Any) -> PayOrder:
    """Its path takes more than a field of BOLT 11 holds."""
    path = path_of(400, 400)
    assert not fits_bolt11(path)
    return a_payment(**{"paths": (path,), **changes})


def record(status: str, index: int = 1, *codes: str) -> tuple[int, Any]:
    htlcs = [{"status": "FAILED", "failure": {"code": code}} for code in codes]
    told = {"status": status, "payment_index": str(index), "payment_request": "", "htlcs": htlcs}
    reason = "FAILURE_REASON_ERROR" if status == "FAILED" else "FAILURE_REASON_NONE"
    return 200, [{"result": {**told, "failure_reason": reason, "value_msat": "25000"}}]


NOTHING_LEFT = {"status": "FAILED", "payment_index": "1", "payment_request": "", "htlcs": [], "value_msat": "25000"}
"""What lnd 0.21.2 makes, when it is started again, of a payment that it had recorded and not begun."""


@pytest.fixture
def lnd(tmp_path: Path) -> Iterator[StandIn]:
    stand_in = StandIn(tmp_path / "lnd")
    stand_in.answers |= {SENT: NO_PAYMENT, QUERY: (200, {"routes": [ROUTE]}), SEND: (200, {"status": "SUCCEEDED"})}
    yield stand_in
    stand_in.close()


@pytest.fixture
async def node(lnd: StandIn) -> AsyncIterator[LndNode]:
    async with LndNode(lnd.access, VirtualClock(NOW), chain=REGTEST) as node:
        yield node


async def test_lnd_is_asked_for_a_route_and_told_to_take_that_very_one(lnd: StandIn, node: LndNode) -> None:
    order = long_payment()
    await node.pay(order)
    asked = dict(lnd.asked)
    assert "POST /v2/router/send" not in asked
    query, told = asked[QUERY], asked[SEND]
    assert (query["amt_msat"], query["fee_limit"]) == ("25000", {"fixed_msat": "5000"})
    [path] = query["blinded_payment_paths"]
    [given] = order.paths
    blinded = path["blinded_path"]
    assert base64.b64decode(blinded["introduction_node"]) == given.path.first_node_id
    assert base64.b64decode(blinded["blinding_point"]) == given.path.first_path_key
    assert [base64.b64decode(hop["encrypted_data"]) for hop in blinded["blinded_hops"]] == [bytes(400), bytes(400)]
    assert (path["base_fee_msat"], path["total_cltv_delta"]) == (str(given.fee_base_msat), given.cltv_expiry_delta)
    assert told == {"payment_hash": base64.b64encode(HASH).decode(), "route": ROUTE}


async def test_a_payment_is_handed_over_once_lnd_has_a_record_however_long_it_takes(
    lnd: StandIn, node: LndNode
) -> None:
    over = threading.Event()

    def slow() -> tuple[int, Any]:
        lnd.answers[SENT] = record("IN_FLIGHT")
        over.wait(10)
        return 200, {"status": "SUCCEEDED"}

    lnd.answers[SEND] = slow
    async with asyncio.timeout(5):
        await node.pay(long_payment())
    assert not over.is_set()
    assert await node.sent(HASH) == Sent(SentState.PENDING)
    over.set()


@pytest.mark.parametrize("status", ["IN_FLIGHT", "INITIATED", "SUCCEEDED"])
async def test_what_lnd_has_begun_or_paid_is_not_begun_again(lnd: StandIn, node: LndNode, status: str) -> None:
    lnd.answers[SENT] = record(status)
    await node.pay(long_payment())
    assert not {QUERY, SEND} & set(dict(lnd.asked))


async def test_two_at_once_begin_one_payment(lnd: StandIn, node: LndNode) -> None:
    lnd.answers[SEND] = IN_TRANSITION
    await node.pay(long_payment())


async def test_a_failed_payment_is_tried_anew_and_its_old_record_is_not_taken_for_the_new_one(
    lnd: StandIn, node: LndNode
) -> None:
    lnd.answers[SENT] = record("FAILED", 1, "TEMPORARY_CHANNEL_FAILURE")
    lnd.answers[SEND] = (500, {"code": 2, "message": "it cannot be"})
    with pytest.raises(Rejected, match="it cannot be"):
        await node.pay(long_payment())

    def refused_after_recording() -> tuple[int, Any]:
        lnd.answers[SENT] = record("FAILED", 2)
        return 500, {"code": 2, "message": "it cannot be"}

    lnd.answers[SEND] = refused_after_recording
    await node.pay(long_payment())


@pytest.mark.parametrize("answer", [LOCKED, (200, "<html>"), (200, "[]"), (502, "bad gateway")], ids=str)
async def test_where_nobody_knows_whether_it_was_begun_that_is_said(lnd: StandIn, node: LndNode, answer: Any) -> None:
    lnd.answers[SEND] = answer
    with pytest.raises(LndUnavailable):
        await node.pay(long_payment())


async def test_without_the_permission_the_reason_names_it(lnd: StandIn, node: LndNode) -> None:
    lnd.answers[SEND] = NOT_PERMITTED
    with pytest.raises(Rejected, match=r"does not allow /routerrpc\.Router/SendToRouteV2"):
        await node.pay(long_payment())


@pytest.mark.parametrize(
    ("answers", "channels", "reason"),
    [
        ([NO_PATH_FOUND, NO_PATH_FOUND], [], FailureReason.NO_ROUTE),
        ([NO_PATH_FOUND, (200, {"routes": [ROUTE]})], [], FailureReason.FEE_LIMIT),
        ([NO_BALANCE], [], FailureReason.INSUFFICIENT_FUNDS),
        ([NO_BALANCE], [a_channel(25, active=False)], FailureReason.NO_ROUTE),
    ],
    ids=str,
)
async def test_why_there_is_no_route_is_told_and_the_same_invoice_may_be_tried_again(
    lnd: StandIn, node: LndNode, answers: list[Any], channels: list[Any], reason: FailureReason
) -> None:
    answering = iter(answers)
    lnd.answers[QUERY] = lambda: next(answering)
    lnd.answers["GET /v1/channels"] = (200, {"channels": channels})
    with pytest.raises(Rejected) as refused:
        await node.pay(long_payment())
    assert (refused.value.reason, refused.value.retryable) == (reason, True)
    assert SEND not in dict(lnd.asked)


@pytest.mark.parametrize(
    ("route", "error"),
    [
        ({**ROUTE, "total_fees_msat": "5001"}, Rejected),
        ({**ROUTE, "hops": [{"amt_to_forward_msat": "24999"}]}, Rejected),
        ({**ROUTE, "hops": []}, LndUnavailable),
        ({"hops": None}, LndUnavailable),
    ],
    ids=["dearer than the limit", "another amount", "no hops", "nonsense"],
)
async def test_a_route_that_was_not_asked_for_is_not_taken(
    lnd: StandIn, node: LndNode, route: dict[str, Any], error: type[Exception]
) -> None:
    lnd.answers[QUERY] = (200, {"routes": [route]})
    with pytest.raises(error):
        await node.pay(long_payment())
    assert SEND not in dict(lnd.asked)


async def test_what_cannot_be_paid_by_route_is_refused_with_a_reason(lnd: StandIn, node: LndNode) -> None:
    with pytest.raises(Rejected, match="must be paid in parts"):
        await node.pay(long_payment(may_split=True, must_split=True))
    with pytest.raises(Rejected, match=r"takes 13\d\d bytes, and an onion has room for 1300"):
        await node.pay(long_payment(paths=(path_of(600, 600),)))
    assert not {QUERY, SEND} & set(dict(lnd.asked))


async def test_of_several_paths_those_that_fit_bolt11_are_paid_by_it(lnd: StandIn, node: LndNode) -> None:
    lnd.answers["POST /v2/router/send"] = (200, [{"result": {"status": "IN_FLIGHT"}}])
    lnd.answers["GET /v1/channels"] = (200, {"channels": []})
    lnd.answers[KNOWN] = (200, {"node": {}})
    [long], short = long_payment().paths, path_of(50, 50)
    await node.pay(long_payment(paths=(long, short)))
    asked = dict(lnd.asked)
    assert "POST /v2/router/send" in asked
    assert QUERY not in asked


async def test_a_long_path_is_taken_if_nobody_knows_where_the_short_one_begins(lnd: StandIn, node: LndNode) -> None:
    lnd.answers["GET /v1/channels"] = (200, {"channels": []})
    lnd.answers[KNOWN] = (200, {"node": {}})
    stranger = PrivateKey(bytes(31) + b"\x0b").point
    lnd.answers[f"GET /v1/graph/node/{stranger.hex()}"] = (500, {"code": 2, "message": "unable to find node"})
    [long], short = long_payment().paths, path_of(50, 50)
    short = replace(short, path=replace(short.path, first_node_id=stranger))
    await node.pay(long_payment(paths=(short, long)))
    asked = dict(lnd.asked)
    assert "POST /v2/router/send" not in asked
    [path] = asked[QUERY]["blinded_payment_paths"]
    assert len(base64.b64decode(path["blinded_path"]["blinded_hops"][0]["encrypted_data"])) == 400


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (record("FAILED", 1, "INVALID_ONION_BLINDING"), Sent(SentState.FAILED, reason=FailureReason.REFUSED_BY_PAYEE)),
        (
            record("FAILED", 1, "TEMPORARY_CHANNEL_FAILURE"),
            Sent(SentState.FAILED, reason=FailureReason.NO_ROUTE, retryable=True),
        ),
        (
            (200, [{"result": {**NOTHING_LEFT, "failure_reason": "FAILURE_REASON_NO_ROUTE"}}]),
            Sent(SentState.FAILED, reason=FailureReason.NO_ROUTE, retryable=True),
        ),
    ],
    ids=["behind the introduction node", "before it", "lnd was started again"],
)
async def test_why_a_payment_by_route_failed(lnd: StandIn, node: LndNode, answer: Any, expected: Sent) -> None:
    lnd.answers[SENT] = answer
    assert await node.sent(HASH) == await node.follow(HASH) == expected


async def test_a_node_that_is_closed_waits_for_nothing(lnd: StandIn) -> None:
    over = threading.Event()

    def slow() -> tuple[int, Any]:
        lnd.answers[SENT] = record("IN_FLIGHT")
        over.wait(10)
        return 200, {"preimage": PREIMAGE.hex()}

    lnd.answers[SEND] = slow
    async with asyncio.timeout(5):
        async with LndNode(lnd.access, VirtualClock(NOW), chain=REGTEST) as node:
            await node.pay(long_payment(amount_msat=Msat(25_000)))
    over.set()
