"""The payer's side: one payment by hash, through `SendPaymentV2` and a BOLT 11 text written here (see bolt11.py).

Paths that do not fit into such a text are paid by route (by_route.py).

LND keeps one record per payment_hash, and that record is what makes a payment happen once: handing over a payment that
is on its way or has arrived is an error to LND and a success to us; one that has finally failed is tried anew. So
nothing about payments is kept here. After any doubt the record is asked for (`TrackPaymentV2`).
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

from lnrecur.adapters.nodes.lnd.answers import Json
from lnrecur.adapters.nodes.lnd.bolt11 import DESCRIPTION_MAX, MPP_COMPULSORY, fits_bolt11, write_bolt11
from lnrecur.adapters.nodes.lnd.by_route import ByRoute, require_room, why_by_route
from lnrecur.adapters.nodes.lnd.channels import Channels
from lnrecur.adapters.nodes.lnd.entering import Entering, Unusable
from lnrecur.adapters.nodes.lnd.errors import LndRefused, LndUnavailable, Trouble, reading
from lnrecur.adapters.nodes.lnd.rest import ANSWER_S_MAX, LndRest
from lnrecur.ports import FailureReason, NodeInfo, PaymentPath, PayOrder, Rejected, Sent, SentState
from lnrecur.values import ChainHash, Msat, NodeId, PaymentHash, Point, Preimage, UnixSeconds

PAY_S_MAX: Final = 60
"""Seconds in which LND may begin new attempts; what is on its way then stays on its way."""
PARTS_MAX: Final = 16
HASH_SIZE: Final = 32
_AMOUNT_MAX: Final = 2**63 - 1
_FEE_LIMIT: Final = re.compile(r" \(lnrecur, fees up to ([0-9]+) msat\)$")
_REFUSALS: Final = ("FAILURE_REASON_INCORRECT_PAYMENT_DETAILS", "FAILURE_REASON_ERROR")
"""Whatever goes wrong inside a blinded path, the payee's no included, comes back from its introduction node as one
code, which ends the payment as an error. A new invoice has new paths, so this one is not tried again."""
_EXPIRED: Final = "invoice expired"
_UNKNOWN_PAYMENT: Final = "payment isn't initiated"
_KNOWN_PAYMENT: Final = (
    "already exists",
    "in transition",
    "is already paid",
    "already succeeded",
    "payment is in flight",
)


class Payments:
    """Payments out of one LND."""

    def __init__(self, rest: LndRest, channels: Channels, chain: ChainHash) -> None:
        self._rest = rest
        self._channels = channels
        self._entering = Entering(rest, channels)
        self._chain = chain
        self._by_route = ByRoute(rest, channels, self._record)

    async def close(self) -> None:
        """Wait for nothing more."""
        await self._by_route.close()

    async def pay(self, order: PayOrder, info: NodeInfo, now: UnixSeconds) -> None:
        """See `MoneyNode.pay`; `info` is of this LND, and fresh."""
        _check(order)
        if now > order.expires_at:
            told_so = f"the invoice expired at {order.expires_at}, and it is {now}"
            raise Rejected(told_so, reason=FailureReason.EXPIRED)
        paths = await self._chosen(await self._usable(order, info), order)
        if not fits_bolt11(paths[0]):
            await self._by_route.pay(order, paths)
            return
        limit = f" (lnrecur, fees up to {order.max_fee_msat} msat)"
        room = DESCRIPTION_MAX - len(limit)
        request = write_bolt11(
            chain=self._chain,
            payment_hash=order.payment_hash,
            amount_msat=order.amount_msat,
            created_at=now,
            expires_at=order.expires_at,
            description=order.description.encode()[:room].decode(errors="ignore") + limit,
            paths=paths,
            may_split=order.may_split,
            must_split=order.must_split,
        )
        body: dict[str, str | int] = {
            "payment_request": request,
            "fee_limit_msat": str(order.max_fee_msat),
            "timeout_seconds": PAY_S_MAX,
            "max_parts": PARTS_MAX if order.may_split else 1,
        }
        if order.must_split:
            body["max_shard_size_msat"] = str(_half(order, paths))
        try:
            async with (
                asyncio.timeout(ANSWER_S_MAX),
                self._rest.stream("POST", "/v2/router/send", body=body) as told,
            ):
                if "status" not in await anext(told):
                    raise LndUnavailable(Trouble.NO_LND, "what answers where LND should be does not say how far it is")
        except TimeoutError as error:
            raise LndUnavailable(Trouble.UNREACHABLE, "LND does not say how far a new payment is") from error
        except LndRefused as error:
            low = str(error).lower()
            if error.code == LndRefused.ALREADY_EXISTS or any(words in low for words in _KNOWN_PAYMENT):
                return
            reason = FailureReason.EXPIRED if _EXPIRED in low else None
            raise Rejected(f"LND does not pay this: {error}", reason=reason) from error

    async def sent(self, payment_hash: PaymentHash) -> Sent:
        """See `MoneyNode.sent`."""
        record = await self._record(payment_hash)
        return Sent(SentState.UNKNOWN) if record is None else await self._read(record)

    async def follow(self, payment_hash: PaymentHash) -> Sent:
        """See `MoneyNode.follow`."""
        async with aclosing(self._records(payment_hash)) as records:
            async for record in records:
                if (sent := await self._read(record)).state is not SentState.PENDING:
                    return sent
        return Sent(SentState.UNKNOWN)

    async def _record(self, payment_hash: PaymentHash) -> Json | None:
        """LND's record of a payment as it is now; None where there is none."""
        try:
            async with asyncio.timeout(ANSWER_S_MAX), aclosing(self._records(payment_hash)) as records:
                return await anext(records, None)
        except TimeoutError as error:
            raise LndUnavailable(Trouble.UNREACHABLE, "LND does not say how far a payment is") from error

    async def _records(self, payment_hash: PaymentHash) -> AsyncGenerator[Json]:
        """LND's record of a payment now and at every change; nothing at all where there is none."""
        if len(payment_hash) != HASH_SIZE:
            return
        name = base64.urlsafe_b64encode(payment_hash).decode()
        try:
            async with self._rest.stream("GET", f"/v2/router/track/{name}") as told:
                async for record in told:
                    yield record
        except LndRefused as error:
            if error.code != LndRefused.NOT_FOUND and _UNKNOWN_PAYMENT not in str(error):
                raise LndUnavailable(Trouble.NO_LND, f"LND does not say how far a payment is: {error}") from error

    # --- before

    async def _usable(self, order: PayOrder, info: NodeInfo) -> list[PaymentPath]:
        """The paths that LND can walk, in one way or the other."""
        found: list[PaymentPath] = []
        problems: list[str] = []
        for path in order.paths:
            try:
                outside = await self._entering.from_outside(path, order.amount_msat, info)
                require_room(outside, order.amount_msat)
            except Unusable as error:
                problems.append(str(error))
            else:
                found.append(outside)
        if not found:
            raise Rejected("; ".join(problems) or "the invoice has no path to pay by")
        return found

    async def _chosen(self, paths: list[PaymentPath], order: PayOrder) -> list[PaymentPath]:
        """Those that LND will make the best of; either all of them fit a BOLT 11 text, or none.

        Given several paths with one of a single hop, it looks at that one alone (`routing/blinding.go`), even where it
        knows no way there. So where there is a choice, ends nobody knows are left out, and then single hops: unless one
        leads to a peer of ours over channels that hold enough. It is the cheapest way, and around the peer LND would
        only find routes that run through the peer twice, which fail.
        """
        if len(paths) == 1:
            return paths
        single = [path for path in paths if len(path.path.hops) == 1 and fits_bolt11(path)]
        for path in single:
            peer = NodeId(_introduction(path))
            if await self._channels.sendable_msat(peer, in_parts=order.may_split) >= order.amount_msat:
                return [path]
        known = [path for path in paths if await self._channels.knows(NodeId(_introduction(path)))] or paths
        fitting = [path for path in known if fits_bolt11(path)]
        if not fitting:
            return [path for path in known if not fits_bolt11(path)]
        return [path for path in fitting if len(path.path.hops) > 1] or fitting[:1]

    # --- after

    async def _read(self, told: Mapping[str, Any]) -> Sent:
        with reading("LND's word on a payment"):
            status = told["status"]
            if status == "SUCCEEDED":
                preimage = Preimage(bytes.fromhex(told["payment_preimage"]))
                return Sent(SentState.SUCCEEDED, preimage, Msat(int(told["fee_msat"])))
            if status != "FAILED":
                return Sent(SentState.PENDING)
            reason, retryable = await self._why(told)
            return Sent(SentState.FAILED, reason=reason, retryable=retryable)

    async def _why(self, told: Mapping[str, Any]) -> tuple[FailureReason, bool]:
        """Our word for LND's reason, and whether the same invoice may be tried again."""
        if (by_route := why_by_route(told)) is not None:
            return by_route
        reason = told["failure_reason"]
        if reason == "FAILURE_REASON_INSUFFICIENT_BALANCE":
            return await self._channels.why_insufficient(int(told["value_msat"])), True
        if reason in _REFUSALS:
            return FailureReason.REFUSED_BY_PAYEE, False
        if reason == "FAILURE_REASON_NO_ROUTE":
            return await self._why_no_route(told), True
        return FailureReason.OTHER, True

    async def _why_no_route(self, told: Mapping[str, Any]) -> FailureReason:
        """Whether there would be a route if only it might cost more than the mandate allows."""
        if not told.get("payment_request"):  # by route, and LND was started again before anything left
            return FailureReason.NO_ROUTE
        try:
            invoice = await self._rest.get(f"/v1/payreq/{told['payment_request']}")
            limit = _FEE_LIMIT.search(invoice["description"])
            if limit is None:
                return FailureReason.NO_ROUTE
            parts = 2 if MPP_COMPULSORY in invoice["features"] else 1
            amount = -(-int(invoice["num_msat"]) // parts)
            for one in invoice["blinded_paths"]:
                beyond = _fee_msat(amount, int(one["base_fee_msat"]), int(one["proportional_fee_rate"]))
                to = NodeId(base64.b64decode(one["blinded_path"]["introduction_node"]))
                before = await self._channels.route_fee_msat(to, amount + beyond)
                if before is not None and parts * (before + beyond) > int(limit[1]):
                    return FailureReason.FEE_LIMIT
        except (LndRefused, KeyError):
            return FailureReason.NO_ROUTE
        return FailureReason.NO_ROUTE


def _fee_msat(amount: int, base: int, millionths: int) -> int:
    return base + -(-amount * millionths // 1_000_000)


def _half(order: PayOrder, paths: list[PaymentPath]) -> int:
    """The greatest part where there must be two.

    Raises:
        Rejected: the paths alone cost more than the limit in two parts. LND would send off one and find that out then;
            it would hang at the payee for minutes.
    """
    half = -(-order.amount_msat // 2)
    fees = min(_fee_msat(half, path.fee_base_msat, path.fee_proportional_millionths) for path in paths)
    if 2 * fees > order.max_fee_msat:
        told = f"in two parts the fees are {2 * fees} msat at least, and may be {order.max_fee_msat} msat"
        raise Rejected(told, reason=FailureReason.FEE_LIMIT, retryable=True)
    return half


def _introduction(path: PaymentPath) -> Point:
    first = path.path.first_node_id
    assert isinstance(first, bytes), "see Entering"
    return first


def _check(order: PayOrder) -> None:
    if len(order.payment_hash) != HASH_SIZE:
        raise Rejected(f"a payment hash takes {HASH_SIZE} bytes, not {len(order.payment_hash)}")
    if not 1 <= order.amount_msat <= _AMOUNT_MAX or not 0 <= order.max_fee_msat <= _AMOUNT_MAX:
        raise Rejected(f"{order.amount_msat} msat with fees up to {order.max_fee_msat} msat cannot be paid")
