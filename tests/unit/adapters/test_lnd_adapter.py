"""The LND adapter against recorded answers: every trouble is told apart, and nothing is concluded from silence."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_lnd_bolt11 import HOP, payment_path

from helpers.lnd_stand_in import (
    INFO,
    LOCKED,
    NO_INVOICE,
    NO_PATH,
    NODE_ID,
    NOT_PERMITTED,
    STARTING,
    WRONG_MACAROON,
    Answer,
    StandIn,
    a_channel,
    make_certificate,
)
from lnrecur.adapters.nodes.lnd import LndAccess, LndNode, LndUnavailable, Trouble
from lnrecur.adapters.nodes.lnd.permissions import PERMISSIONS
from lnrecur.crypto.hashes import sha256
from lnrecur.errors import Fault, UsageError
from lnrecur.ports import (
    FailureReason,
    Health,
    PayOrder,
    Received,
    ReceivedState,
    ReceiveOrder,
    Rejected,
    Sent,
    SentState,
)
from lnrecur.recurrence.event_objects import NODE_SUBJECT
from lnrecur.service.node_watch import NodeWatch
from lnrecur.testing.memory_store import MemoryRecurrenceManager
from lnrecur.testing.seeded_entropy import SeededEntropy
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST, ZERO_MSAT, Msat, PaymentHash, Point, Preimage, UnixSeconds

NOW = 1_795_816_100
PREIMAGE = Preimage(b"\x07" * 32)
HASH = PaymentHash(sha256(PREIMAGE))
ADDRESS = b"\x09" * 32
ORDER = ReceiveOrder(PREIMAGE, Msat(25_000), UnixSeconds(NOW + 3600), "coffee", b"sealed")
SENT = f"GET /v2/router/track/{base64.urlsafe_b64encode(HASH).decode()}"
LOOKED_UP = f"GET /v1/invoice/{HASH.hex()}"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def an_invoice(state: str = "OPEN", **changes: Any) -> dict[str, Any]:
    return {
        "memo": f"coffee lnrecur:{ORDER.expires_at}:{b64(b'sealed')}",
        "r_hash": b64(HASH),
        "payment_addr": b64(ADDRESS),
        "state": state,
        "value_msat": "25000",
        "amt_paid_msat": "25000" if state == "SETTLED" else "0",
        "htlcs": [{"amt_msat": "25000", "state": "ACCEPTED"}] if state == "ACCEPTED" else [],
        "add_index": "5",
        "settle_index": "3" if state == "SETTLED" else "0",
        "creation_date": str(NOW),
        "settle_date": str(NOW + 7) if state == "SETTLED" else "0",
        **changes,
    }


def a_payment(**changes: Any) -> PayOrder:
    order = PayOrder(
        payment_hash=HASH,
        amount_msat=Msat(25_000),
        max_fee_msat=Msat(5000),
        paths=(payment_path(HOP),),
        payee=Point(bytes.fromhex(NODE_ID)),
        expires_at=UnixSeconds(NOW + 3600),
        invoice=b"",
        description="coffee",
    )
    return replace(order, **changes)


@pytest.fixture
def lnd(tmp_path: Path) -> Iterator[StandIn]:
    stand_in = StandIn(tmp_path / "lnd")
    yield stand_in
    stand_in.close()


@pytest.fixture
async def node(lnd: StandIn) -> AsyncIterator[LndNode]:
    async with LndNode(lnd.access, VirtualClock(NOW), chain=REGTEST) as node:
        yield node


NONSENSE = {
    "wrong macaroon": (WRONG_MACAROON, Trouble.WRONG_MACAROON),
    "no macaroon": ((500, {"code": 2, "message": "empty macaroon data"}), Trouble.WRONG_MACAROON),
    "unknown root key": (
        (500, {"code": 2, "message": "cannot get macaroon: root key with id 5 doesn't exist"}),
        Trouble.WRONG_MACAROON,
    ),
    "not permitted": (NOT_PERMITTED, Trouble.NOT_PERMITTED),
    "locked": (LOCKED, Trouble.LOCKED),
    "no wallet": (
        (500, {"code": 2, "message": "wallet not created, create one to enable full RPC access"}),
        Trouble.LOCKED,
    ),
    "starting": (STARTING, Trouble.STARTING),
    "no such path yet": (NO_PATH, Trouble.STARTING),
    "a part is missing": ((501, {"code": 12, "message": "unknown service invoicesrpc.Invoices"}), Trouble.NOT_BUILT_IN),
    "unauthenticated": ((401, {"code": 16, "message": "who are you"}), Trouble.WRONG_MACAROON),
    "going down": ((503, {"code": 14, "message": "transport is closing"}), Trouble.UNREACHABLE),
    "a web page": ((200, "<html><body>It works!</body></html>"), Trouble.NO_LND),
    "a proxy": ((502, "<html>Bad Gateway</html>"), Trouble.NO_LND),
    "nothing": ((200, ""), Trouble.NO_LND),
    "a list": ((200, "[1, 2]"), Trouble.NO_LND),
    "half": ((200, '{"version": "0.2'), Trouble.NO_LND),
    "another program": ((200, {"name": "bitcoind"}), Trouble.NO_LND),
    "another program's error": ((500, {"detail": "boom"}), Trouble.NO_LND),
    "not synced": ((200, {**INFO, "synced_to_chain": False}), Trouble.NOT_SYNCED),
    "mainnet": ((200, {**INFO, "chains": [{"chain": "bitcoin", "network": "mainnet"}]}), Trouble.WRONG_CHAIN),
    "no chain": ((200, {**INFO, "chains": []}), Trouble.WRONG_CHAIN),
}


@pytest.mark.parametrize(("answer", "trouble"), NONSENSE.values(), ids=NONSENSE)
async def test_every_trouble_is_told_apart_and_nothing_is_received_or_paid_meanwhile(
    lnd: StandIn, node: LndNode, answer: Answer, trouble: Trouble
) -> None:
    lnd.answers["GET /v1/getinfo"] = answer
    for ask in (node.info(), node.register(ORDER), node.pay(a_payment())):
        with pytest.raises(LndUnavailable) as refused:
            await ask
        assert refused.value.trouble is trouble
        assert refused.value.details() == {"trouble": trouble.value}
        assert (refused.value.retry, refused.value.fault) == (True, Fault.NODE)
    assert {name for name, _ in lnd.asked} == {"GET /v1/getinfo"}
    broken = [finding for finding in await node.diagnose() if finding.health is Health.BROKEN]
    assert broken
    assert all(finding.way_out for finding in broken)
    lnd.answers["GET /v1/getinfo"] = (200, INFO)
    assert (await node.info()).kind == "LND 0.21.2-beta"


async def test_every_trouble_is_told_once_in_the_event_log_and_so_is_its_end(lnd: StandIn, node: LndNode) -> None:
    manager, clock = MemoryRecurrenceManager(), VirtualClock(NOW)
    watch = NodeWatch(manager, node, clock, SeededEntropy(1), every_s=30)
    watching = asyncio.ensure_future(watch.watch())
    expected: list[str] = []
    for answer, trouble in NONSENSE.values():
        lnd.answers["GET /v1/getinfo"] = answer
        for _ in range(3):
            await _look_again(lnd, clock)
        expected += [trouble.value] if expected[-1:] != [trouble.value] else []
    lnd.answers["GET /v1/getinfo"] = (200, INFO)
    for _ in range(3):
        await _look_again(lnd, clock)
    watching.cancel()
    *told, last = manager.events(subject=NODE_SUBJECT)
    assert {event.name for event in told} == {"node.unavailable"}
    assert [event.data["trouble"] for event in told] == expected
    assert all(event.data["why"] for event in told)
    assert (last.name, last.data["was"], last.data["kind"]) == ("node.available", expected[-1], "LND 0.21.2-beta")


async def _look_again(lnd: StandIn, clock: VirtualClock) -> None:
    """Let the watch's pause be over, and wait until it has looked and pauses again."""
    asked = len(lnd.asked)
    clock.advance(60)
    async with asyncio.timeout(10):
        while len(lnd.asked) == asked or clock.next_wake() is None:
            await asyncio.sleep(0.002)


@pytest.mark.parametrize(("answer", "trouble"), NONSENSE.values(), ids=NONSENSE)
async def test_no_trouble_passes_for_an_answer_about_a_payment(
    lnd: StandIn, node: LndNode, answer: Answer, trouble: Trouble
) -> None:
    """UNKNOWN would allow a second payment: only LND's own word that it has no such payment says that."""
    if answer[0] == 200 and isinstance(answer[1], dict) and "version" in answer[1]:
        answer = 200, "[]"
    lnd.answers |= {SENT: answer, LOOKED_UP: answer, "POST /v2/router/send": answer}
    for ask in (node.sent(HASH), node.follow(HASH), node.received(HASH), node.pay(a_payment())):
        with pytest.raises(LndUnavailable):
            await ask


async def test_who_is_not_there_or_shows_another_certificate_is_told(tmp_path: Path, lnd: StandIn) -> None:
    make_certificate(tmp_path)
    plain = StandIn(tmp_path / "plain", tls=False)
    access = lnd.access
    (tmp_path / "empty").write_bytes(b"")
    cases = {
        Trouble.UNREACHABLE: replace(access, url="https://127.0.0.1:1"),
        Trouble.WRONG_CERTIFICATE: replace(access, certificate=tmp_path / "tls.cert"),
        Trouble.NO_LND: plain.access,
        Trouble.WRONG_MACAROON: replace(access, macaroon=tmp_path / "none"),
    }
    cases_of_files = [replace(access, certificate=tmp_path / name) for name in ("none", "empty", "tls.key")]
    for trouble, one in [*cases.items(), *((Trouble.WRONG_CERTIFICATE, one) for one in cases_of_files)]:
        async with LndNode(one, VirtualClock(NOW), chain=REGTEST) as node:
            with pytest.raises(LndUnavailable) as refused:
                await node.info()
            assert (refused.value.trouble, one) == (trouble, one)
            [finding] = await node.diagnose()
            assert (finding.health, finding.subject) == (Health.BROKEN, "money node")
            assert finding.way_out
    plain.close()


async def test_a_macaroon_baked_anew_is_read_without_a_restart(lnd: StandIn, node: LndNode) -> None:
    await node.info()
    lnd.access.macaroon.write_bytes(b"another one")
    await node.info()
    assert lnd.macaroons == [b"\x02\x01\x03lnd".hex(), b"another one".hex()]


async def test_a_certificate_made_anew_is_read_without_a_restart(tmp_path: Path, lnd: StandIn, node: LndNode) -> None:
    await node.info()
    lnd.close()
    with pytest.raises(LndUnavailable):
        await node.info()
    make_certificate(lnd.folder)
    renewed = StandIn(lnd.folder, port=lnd.port)
    assert (await node.info()).block_height == 457
    renewed.close()
    lnd._thread.join()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://", "127.0.0.1", "https://h/path"])
def test_an_address_that_is_none_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lnd_url is https://HOST:PORT"):
        LndAccess(url, tmp_path, tmp_path)


# --- receiving


async def test_an_invoice_of_the_same_hash_that_is_not_ours_is_refused(lnd: StandIn, node: LndNode) -> None:
    lnd.answers[LOOKED_UP] = (200, an_invoice(memo="somebody else's"))
    lnd.answers["POST /v2/invoices/hodl"] = (500, {"code": 2, "message": "invoice with payment hash already exists"})
    with pytest.raises(Rejected, match="did not make"):
        await node.register(ORDER)


async def test_registering_again_after_a_crash_finds_what_was_made(lnd: StandIn, node: LndNode) -> None:
    lnd.answers[LOOKED_UP] = (200, an_invoice())
    receivable = await node.register(ORDER)
    assert (receivable.payment_hash, receivable.path_id) == (HASH, ADDRESS)
    assert "POST /v2/invoices/hodl" not in dict(lnd.asked)
    with pytest.raises(Rejected, match="other terms"):
        await node.register(replace(ORDER, amount_msat=Msat(25_001)))


async def test_a_context_that_does_not_fit_is_refused_before_anything_is_made(lnd: StandIn, node: LndNode) -> None:
    with pytest.raises(Rejected, match="does not fit LND's memo"):
        await node.register(replace(ORDER, context=bytes(900)))
    assert "POST /v2/invoices/hodl" not in dict(lnd.asked)


@pytest.mark.parametrize(
    ("invoice", "expected"),
    [
        (an_invoice(), Received(ReceivedState.OPEN, ZERO_MSAT, b"sealed")),
        (an_invoice("ACCEPTED"), Received(ReceivedState.CLAIMABLE, Msat(25_000), b"sealed")),
        (an_invoice("SETTLED"), Received(ReceivedState.CLAIMED, Msat(25_000), b"sealed")),
        (an_invoice("CANCELED"), Received(ReceivedState.CANCELED, ZERO_MSAT, b"sealed")),
        (an_invoice(memo="no mark"), Received(ReceivedState.UNKNOWN)),
        (an_invoice(memo="lnrecur:1:not base64!"), Received(ReceivedState.UNKNOWN)),
    ],
    ids=lambda case: str(case.get("state")) + str(case.get("memo")) if isinstance(case, dict) else "",
)
async def test_states_of_invoices(lnd: StandIn, node: LndNode, invoice: dict[str, Any], expected: Received) -> None:
    lnd.answers[LOOKED_UP] = (200, invoice)
    assert await node.received(HASH) == expected


@pytest.mark.parametrize("broken", [{"state": "PAID"}, {"value_msat": "many"}, {"htlcs": None}, {"add_index": None}])
async def test_an_invoice_that_cannot_be_read_is_no_answer(lnd: StandIn, node: LndNode, broken: dict[str, Any]) -> None:
    lnd.answers[LOOKED_UP] = (200, an_invoice(**broken))
    with pytest.raises(LndUnavailable) as refused:
        await node.received(HASH)
    assert refused.value.trouble is Trouble.NO_LND


@pytest.mark.parametrize(
    ("state", "outcome"),
    [("SETTLED", None), ("ACCEPTED", LndUnavailable), ("OPEN", Rejected), ("CANCELED", Rejected)],
)
async def test_a_claim_that_lnd_turns_down_is_judged_by_the_invoice(
    lnd: StandIn, node: LndNode, state: str, outcome: type[Exception] | None
) -> None:
    lnd.answers["POST /v2/invoices/settle"] = (500, {"code": 2, "message": "no"})
    lnd.answers[LOOKED_UP] = (200, an_invoice(state))
    if outcome is None:
        await node.claim(PREIMAGE)
        return
    with pytest.raises(outcome):
        await node.claim(PREIMAGE)


@pytest.mark.parametrize("answer", [LOCKED, STARTING, NOT_PERMITTED, WRONG_MACAROON])
async def test_a_claim_that_lnd_cannot_do_now_is_tried_again(lnd: StandIn, node: LndNode, answer: Answer) -> None:
    lnd.answers["POST /v2/invoices/settle"] = answer
    with pytest.raises(LndUnavailable):
        await node.claim(PREIMAGE)
    lnd.answers["POST /v2/invoices/cancel"] = answer
    with pytest.raises(LndUnavailable):
        await node.cancel(HASH)


async def test_what_became_of_invoices_while_we_were_away_is_told(lnd: StandIn, node: LndNode) -> None:
    other = PaymentHash(bytes(32))
    gone = an_invoice("CANCELED", r_hash=b64(other), add_index="6")
    foreign = an_invoice(memo="rent", add_index="9")
    lnd.answers["GET /v1/invoices"] = (
        200,
        {"invoices": [an_invoice("SETTLED"), gone, foreign], "last_index_offset": "9"},
    )
    stream = node.receipts("lnd:4")
    first, second = await anext(stream), await anext(stream)
    await stream.aclose()
    assert (first.state, first.cursor, first.at, first.context) == (ReceivedState.CLAIMED, "lnd:5", NOW + 7, b"sealed")
    assert (second.state, second.cursor, second.payment_hash) == (ReceivedState.CANCELED, "lnd:6", other)


async def test_the_cursor_stays_behind_what_is_still_open_and_a_vanished_invoice_counts_as_canceled(
    lnd: StandIn, node: LndNode
) -> None:
    other = b64(bytes(32))
    listed = [an_invoice(), an_invoice("SETTLED", r_hash=other, add_index="6", payment_addr=other)]
    lists = iter([listed, [], []])
    lnd.answers["GET /v1/invoices"] = lambda: (200, {"invoices": next(lists, []), "last_index_offset": "6"})
    lnd.answers[LOOKED_UP] = NO_INVOICE
    stream = node.receipts(None)
    claimed, canceled = await anext(stream), await anext(stream)
    await stream.aclose()
    assert (claimed.state, claimed.cursor) == (ReceivedState.CLAIMED, "lnd:4")
    assert (canceled.state, canceled.payment_hash, canceled.cursor) == (ReceivedState.CANCELED, HASH, "lnd:6")


# --- paying


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ((200, [{"result": {"status": "IN_FLIGHT"}}]), None),
        ((409, {"error": {"code": 6, "message": "payment is in transition"}}), None),
        ((500, {"error": {"code": 2, "message": "invoice is already paid"}}), None),
        ((500, {"error": {"code": 2, "message": "invoice expired"}}), Rejected),
        ((200, [{"error": {"code": 2, "message": "feature vector"}}]), Rejected),
        ((200, []), LndUnavailable),
        ((200, "<html>"), LndUnavailable),
        ((200, [{"error": {"code": 2, "message": "the RPC server is in the process of starting up"}}]), LndUnavailable),
    ],
    ids=str,
)
async def test_handing_a_payment_over(
    lnd: StandIn, node: LndNode, answer: Answer, outcome: type[Exception] | None
) -> None:
    lnd.answers["POST /v2/router/send"] = answer
    if outcome is None:
        await node.pay(a_payment())
        body = dict(lnd.asked)["POST /v2/router/send"]
        assert body["fee_limit_msat"] == "5000"
        assert body["payment_request"].startswith("lnbcrt250000p1")
        return
    with pytest.raises(outcome) as refused:
        await node.pay(a_payment())
    if isinstance(refused.value, Rejected):
        assert refused.value.reason is (FailureReason.EXPIRED if "expired" in str(answer) else None)


@pytest.mark.parametrize(
    "changes",
    [{"expires_at": NOW - 1}, {"paths": ()}, {"amount_msat": ZERO_MSAT}, {"payment_hash": bytes(31)}],
    ids=str,
)
async def test_what_cannot_be_paid_is_rejected_before_lnd_hears_of_it(
    lnd: StandIn, node: LndNode, changes: dict[str, Any]
) -> None:
    with pytest.raises(Rejected) as refused:
        await node.pay(a_payment(**changes))
    assert refused.value.reason is (FailureReason.EXPIRED if "expires_at" in changes else None)
    assert not refused.value.retryable
    assert "POST /v2/router/send" not in dict(lnd.asked)


async def test_what_must_be_paid_in_parts_is_asked_for_in_halves_within_the_fee_limit(
    lnd: StandIn, node: LndNode
) -> None:
    lnd.answers["POST /v2/router/send"] = (200, [{"result": {"status": "IN_FLIGHT"}}])
    order = a_payment(may_split=True, must_split=True, amount_msat=Msat(25_001))
    [path] = order.paths
    fee = path.fee_base_msat + -(-12_501 * path.fee_proportional_millionths // 1_000_000)
    await node.pay(replace(order, max_fee_msat=Msat(2 * fee)))
    body = dict(lnd.asked)["POST /v2/router/send"]
    assert (body["max_shard_size_msat"], body["max_parts"]) == ("12501", 16)
    with pytest.raises(Rejected, match="in two parts the fees are") as refused:
        await node.pay(replace(order, max_fee_msat=Msat(2 * fee - 1)))
    assert (refused.value.reason, refused.value.retryable) == (FailureReason.FEE_LIMIT, True)


@pytest.mark.parametrize(
    ("sat", "may_split", "chosen"),
    [([36], False, 1), ([34], False, 2), ([23, 23], True, 1), ([23, 23], False, 2), ([], True, 2)],
    ids=str,
)
async def test_a_peer_is_paid_directly_where_the_channels_with_it_hold_enough(
    lnd: StandIn, node: LndNode, sat: list[int], may_split: bool, chosen: int
) -> None:
    """Of a path to the peer itself and a longer one; LND would not even look at the longer one if it had both."""
    lnd.answers["POST /v2/router/send"] = (200, [{"result": {"status": "IN_FLIGHT"}}])
    direct, longer = payment_path(), payment_path(HOP)
    peer = Point(bytes.fromhex(NODE_ID[:-1] + "0"))
    direct = replace(direct, path=replace(direct.path, first_node_id=peer))
    told = [a_channel(one, peer=peer.hex()) for one in sat]
    told += [a_channel(1000, peer=peer.hex(), active=False), a_channel(1000, peer=NODE_ID)]
    lnd.answers["GET /v1/channels"] = (200, {"channels": told})
    for path in (longer, direct):
        first = path.path.first_node_id
        assert isinstance(first, bytes)
        lnd.answers[f"GET /v1/graph/node/{first.hex()}"] = (200, {"node": {}})
    paths = (longer, direct)
    await node.pay(a_payment(paths=paths, may_split=may_split))
    request = dict(lnd.asked)["POST /v2/router/send"]["payment_request"]
    expected = direct if chosen == 1 else longer
    alone = a_payment(paths=(expected,), may_split=may_split)
    lnd.asked.clear()
    await node.pay(alone)
    assert dict(lnd.asked)["POST /v2/router/send"]["payment_request"] == request


async def test_a_path_that_begins_at_this_node_needs_the_signer_and_says_so(lnd: StandIn, node: LndNode) -> None:
    path = payment_path(HOP)
    own = replace(path, path=replace(path.path, first_node_id=Point(bytes.fromhex(NODE_ID))))
    lnd.answers["POST /v2/signer/sharedkey"] = NOT_PERMITTED
    with pytest.raises(Rejected, match="does not allow /signrpc"):
        await node.pay(a_payment(paths=(own,)))
    lnd.answers["POST /v2/signer/sharedkey"] = (200, {"shared_key": b64(bytes(32))})
    with pytest.raises(Rejected, match="begins at our LND"):
        await node.pay(a_payment(paths=(own,)))
    lnd.answers["POST /v2/signer/sharedkey"] = LOCKED
    with pytest.raises(LndUnavailable):
        await node.pay(a_payment(paths=(own,)))


def failed(reason: str) -> dict[str, Any]:
    return {"status": "FAILED", "failure_reason": f"FAILURE_REASON_{reason}", "value_msat": "25000", "htlcs": []}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"status": "IN_FLIGHT"}, Sent(SentState.PENDING)),
        ({"status": "INITIATED"}, Sent(SentState.PENDING)),
        (
            {"status": "SUCCEEDED", "payment_preimage": PREIMAGE.hex(), "fee_msat": "7"},
            Sent(SentState.SUCCEEDED, PREIMAGE, Msat(7)),
        ),
        (failed("TIMEOUT"), Sent(SentState.FAILED, reason=FailureReason.OTHER, retryable=True)),
        (failed("CANCELED"), Sent(SentState.FAILED, reason=FailureReason.OTHER, retryable=True)),
        (failed("ERROR"), Sent(SentState.FAILED, reason=FailureReason.REFUSED_BY_PAYEE)),
        (failed("INCORRECT_PAYMENT_DETAILS"), Sent(SentState.FAILED, reason=FailureReason.REFUSED_BY_PAYEE)),
        (
            failed("NO_ROUTE") | {"payment_request": "x"},
            Sent(SentState.FAILED, reason=FailureReason.NO_ROUTE, retryable=True),
        ),
        (
            failed("INSUFFICIENT_BALANCE"),
            Sent(SentState.FAILED, reason=FailureReason.INSUFFICIENT_FUNDS, retryable=True),
        ),
    ],
    ids=lambda case: case.get("failure_reason", case["status"]) if isinstance(case, dict) else "",
)
async def test_what_lnd_says_of_a_payment(lnd: StandIn, node: LndNode, record: dict[str, Any], expected: Sent) -> None:
    lnd.answers[SENT] = (200, [{"result": record}])
    lnd.answers["GET /v1/channels"] = (200, {"channels": []})
    lnd.answers["GET /v1/payreq/x"] = (500, {"code": 2, "message": "invalid"})
    assert await node.sent(HASH) == expected


async def test_coins_in_channels_that_are_down_are_not_missing_but_their_way_is(lnd: StandIn, node: LndNode) -> None:
    lnd.answers[SENT] = (200, [{"result": failed("INSUFFICIENT_BALANCE")}])
    lnd.answers["GET /v1/channels"] = (200, {"channels": [a_channel(25, active=False)]})
    assert (await node.sent(HASH)).reason is FailureReason.NO_ROUTE
    lnd.answers["GET /v1/channels"] = (200, {"channels": [a_channel(24, active=False)]})
    assert (await node.sent(HASH)).reason is FailureReason.INSUFFICIENT_FUNDS


async def test_only_lnds_own_word_makes_a_payment_unknown(lnd: StandIn, node: LndNode) -> None:
    lnd.answers[SENT] = (404, {"error": {"code": 5, "message": "payment isn't initiated"}})
    assert await node.sent(HASH) == await node.follow(HASH) == Sent(SentState.UNKNOWN)
    lnd.answers[SENT] = (200, [{"result": {"status": "SUCCEEDED", "payment_preimage": "none"}}])
    with pytest.raises(LndUnavailable):
        await node.sent(HASH)
    lnd.answers[SENT] = (200, [{"result": {"status": "IN_FLIGHT"}}])
    with pytest.raises(LndUnavailable, match="ended the stream"):
        await node.follow(HASH)


# --- looking at itself


def all_allowed(lnd: StandIn) -> None:
    refused = (500, {"code": 2, "message": "that cannot be"})
    for permission in PERMISSIONS[1:]:
        lnd.answers[f"{permission.method} {permission.path.partition('?')[0]}"] = refused
    lnd.answers["GET /v1/channels"] = (200, {"channels": []})


@pytest.mark.parametrize("missing", PERMISSIONS[2:], ids=lambda permission: permission.uri)
async def test_a_missing_permission_is_named(lnd: StandIn, node: LndNode, missing: Any) -> None:
    all_allowed(lnd)
    lnd.answers[f"{missing.method} {missing.path.partition('?')[0]}"] = NOT_PERMITTED
    [finding] = [finding for finding in await node.diagnose() if finding.subject == "permissions"]
    assert missing.uri in finding.told
    assert finding.health is (Health.WARNING if missing.is_optional else Health.BROKEN)
    assert "docs/nodes/lnd.md" in finding.way_out


async def test_with_all_permissions_and_no_channel_the_channels_are_what_is_missing(
    lnd: StandIn, node: LndNode
) -> None:
    all_allowed(lnd)
    health_of = {finding.subject: finding.health for finding in await node.diagnose()}
    assert health_of == {
        "money node": Health.GOOD,
        "chain": Health.GOOD,
        "clock": Health.BROKEN,  # the stand-in lives in another year
        "permissions": Health.GOOD,
        "channels": Health.BROKEN,
    }


@pytest.mark.parametrize(
    ("change", "subject", "health"),
    [
        ({"version": "0.17.5-beta commit=v0.17.5-beta"}, "LND version", Health.BROKEN),
        ({"version": "0.20.1-beta"}, "LND version", Health.WARNING),
        ({"version": "nightly"}, "LND version", Health.BROKEN),
        ({"features": {}}, "route blinding", Health.BROKEN),
        ({"synced_to_chain": False}, "chain", Health.BROKEN),
        ({"chains": [{"network": "signet"}]}, "chain", Health.BROKEN),
        ({"best_header_timestamp": str(NOW + 9000)}, "clock", Health.BROKEN),
    ],
    ids=str,
)
async def test_what_info_tells_a_doctor(
    lnd: StandIn, node: LndNode, change: dict[str, Any], subject: str, health: Health
) -> None:
    all_allowed(lnd)
    lnd.date = "Fri, 27 Nov 2026 21:48:25 GMT"
    assert "clock" in {finding.subject for finding in await node.diagnose() if finding.health is Health.GOOD}
    lnd.answers["GET /v1/getinfo"] = (200, {**INFO, **change})
    found = [finding for finding in await node.diagnose() if finding.subject == subject]
    assert health in {finding.health for finding in found}
    assert all(finding.way_out for finding in found if finding.health is not Health.GOOD)
