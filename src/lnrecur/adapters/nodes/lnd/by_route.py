"""Paying by route: over blinded paths that do not fit into a BOLT 11 text (see bolt11.py), in one part.

LND finds the route itself (`QueryRoutes` with blinded_payment_paths) and is told to take it (`SendToRouteV2`). That is
one attempt: when it fails the payment has failed, and whoever wants it tries again. It cannot be split, since LND puts
no MPP record behind a blinded path.

A payment by route has the same record as any other, by payment_hash, and the record is made before anything leaves: so
this too happens once at most, and is asked for in the same way. `SendToRouteV2` answers only when all is over, which
may take until an HTLC runs out; so it is asked in the background, until there is a record. LND goes on without us.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from lnrecur.adapters.nodes.lnd.answers import Json
from lnrecur.adapters.nodes.lnd.channels import Channels
from lnrecur.adapters.nodes.lnd.entering import Unusable
from lnrecur.adapters.nodes.lnd.errors import LndRefused, LndUnavailable, Trouble, reading
from lnrecur.adapters.nodes.lnd.rest import LndRest
from lnrecur.onion.payment_payloads import FinalPaymentPayload, RelayPaymentPayload
from lnrecur.onion.sphinx import AREA_SMALL, room_needed
from lnrecur.ports import FailureReason, PaymentPath, PayOrder, Rejected
from lnrecur.values import Msat, PaymentHash
from lnrecur.wire.integers import U32_MAX

_LOG = logging.getLogger("lnrecur.lnd")
SEND_TO_ROUTE: Final = "/routerrpc.Router/SendToRouteV2"
RECORDED_S_MAX: Final = 20.0
"""Seconds in which LND makes its record, which it does before anything else."""
_LOOK_S: Final = (0.02, 0.05, 0.1, 0.2)
_NO_ROUTE: Final = ("unable to find a path", "no route", "no path", "unable to find a route")
_NO_BALANCE: Final = "insufficient local balance"
_BLINDED_FAILURE: Final = "INVALID_ONION_BLINDING"
"""All that the payer learns of what went wrong behind the introduction node, the payee's no included."""


class ByRoute:
    """Payments by route out of one LND."""

    def __init__(
        self, rest: LndRest, channels: Channels, record: Callable[[PaymentHash], Awaitable[Json | None]]
    ) -> None:
        """`record` answers LND's record of a payment."""
        self._rest = rest
        self._channels = channels
        self._record = record
        self._sending: set[asyncio.Task[Json]] = set()

    async def close(self) -> None:
        """Wait for nothing more; LND goes on with what it has recorded."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def pay(self, order: PayOrder, paths: Sequence[PaymentPath]) -> None:
        """As `MoneyNode.pay`, over the best of these paths, each of which begins at a node id and not at our own.

        Raises:
            Rejected: nothing was started; with a reason where LND gave one.
            LndUnavailable: unknown whether it was started.
        """
        if order.must_split:
            raise Rejected("the invoice must be paid in parts, and LND pays paths as long as its own in one part only")
        known = await self._record(order.payment_hash)
        if known is not None and known.get("status") != "FAILED":
            return
        route = await self._route(order, paths)
        body = {"payment_hash": base64.b64encode(order.payment_hash).decode(), "route": route}
        sending = asyncio.get_running_loop().create_task(
            self._rest.post("/v2/router/route/send", body, answer_s_max=None), name="lnd route"
        )
        self._sending.add(sending)
        sending.add_done_callback(self._ended)
        await self._recorded(order.payment_hash, known, sending)

    async def _recorded(self, payment_hash: PaymentHash, before: Json | None, sending: asyncio.Task[Json]) -> None:
        """Return once LND has its record of this try, or has answered."""
        looks = 0
        try:
            async with asyncio.timeout(RECORDED_S_MAX):
                while not sending.done():
                    await asyncio.wait((sending,), timeout=_LOOK_S[min(looks, len(_LOOK_S) - 1)])
                    looks += 1
                    if _is_new(await self._record(payment_hash), before):
                        return
        except TimeoutError as error:
            raise LndUnavailable(Trouble.UNREACHABLE, "LND does not take up the payment") from error
        try:
            sending.result()
        except LndRefused as error:
            if error.code == LndRefused.ALREADY_EXISTS:
                return
            if not _is_new(await self._record(payment_hash), before):
                raise Rejected(f"LND does not pay this: {error}") from error
        except LndUnavailable as error:
            if error.trouble is Trouble.NOT_PERMITTED:
                told = f"the path is too long for BOLT 11, and LND's macaroon does not allow {SEND_TO_ROUTE}"
                raise Unusable(told) from error
            raise

    def _ended(self, sending: asyncio.Task[Json]) -> None:
        self._sending.discard(sending)
        if not sending.cancelled() and (error := sending.exception()) is not None:
            _LOG.info("a payment by route: %s", error)

    # --- the route

    async def _route(self, order: PayOrder, paths: Sequence[PaymentPath]) -> Json:
        try:
            route = await self._ask_route(order, paths, order.max_fee_msat)
        except LndRefused as error:
            low = str(error).lower()
            if _NO_BALANCE in low:
                reason = await self._channels.why_insufficient(order.amount_msat)
            elif any(words in low for words in _NO_ROUTE):
                reason = await self._why_no_route(order, paths)
            else:
                raise Rejected(f"LND finds no route: {error}") from error
            raise Rejected(f"LND finds no route: {error}", reason=reason, retryable=True) from error
        with reading("LND's route"):
            fee, delivered = int(route["total_fees_msat"]), int(route["hops"][-1]["amt_to_forward_msat"])
        if fee > order.max_fee_msat or delivered != order.amount_msat:
            raise Rejected(f"LND's route delivers {delivered} msat for {fee} msat of fees, which was not asked for")
        return route

    async def _why_no_route(self, order: PayOrder, paths: Sequence[PaymentPath]) -> FailureReason:
        """Whether there would be a route if only it might cost more than the mandate allows."""
        try:
            await self._ask_route(order, paths, None)
        except LndRefused:
            return FailureReason.NO_ROUTE
        return FailureReason.FEE_LIMIT

    async def _ask_route(self, order: PayOrder, paths: Sequence[PaymentPath], limit: Msat | None) -> Json:
        body: Json = {
            "amt_msat": str(order.amount_msat),
            "blinded_payment_paths": [_shape(path) for path in paths],
            "use_mission_control": True,
        }
        if limit is not None:
            body["fee_limit"] = {"fixed_msat": str(limit)}
        # The end of a blinded path has no name, and this is how the API says so.
        told = await self._rest.post("/v1/graph/routes//0", body)
        with reading("LND's routes"):
            route: Json = told["routes"][0]
        return route


def why_by_route(told: Mapping[str, Any]) -> tuple[FailureReason, bool] | None:
    """Why a payment by route failed, and whether the same invoice may be tried again; None if it was none."""
    if told.get("payment_request"):
        return None
    codes = [str((htlc.get("failure") or {}).get("code")) for htlc in told.get("htlcs", [])]
    if not codes:
        return None
    if codes[-1] == _BLINDED_FAILURE:
        return FailureReason.REFUSED_BY_PAYEE, False
    return FailureReason.NO_ROUTE, True


def require_room(path: PaymentPath, amount_msat: Msat) -> None:
    """Make sure that the path's layers fit into an onion, whatever route leads to its beginning.

    Raises:
        Unusable: they do not.
    """
    key, hops = path.path.first_path_key, path.path.hops
    layers = [
        RelayPaymentPayload(hop.encrypted_recipient_data, None if index else key).to_bytes()
        for index, hop in enumerate(hops[:-1])
    ]
    last = hops[-1].encrypted_recipient_data
    layers.append(FinalPaymentPayload(amount_msat, U32_MAX, last, amount_msat, None if layers else key).to_bytes())
    if (needed := room_needed(layers)) > AREA_SMALL:
        raise Unusable(f"a path takes {needed} bytes, and an onion has room for {AREA_SMALL}")


def _is_new(record: Json | None, before: Json | None) -> bool:
    """Whether this is the record of another try: each has an index of its own."""
    return record is not None and (before is None or record.get("payment_index") != before.get("payment_index"))


def _shape(path: PaymentPath) -> Json:
    blinded, first = path.path, path.path.first_node_id
    assert isinstance(first, bytes), "see pay"
    return {
        "blinded_path": {
            "introduction_node": _b64(first),
            "blinding_point": _b64(blinded.first_path_key),
            "blinded_hops": [
                {"blinded_node": _b64(hop.blinded_node_id), "encrypted_data": _b64(hop.encrypted_recipient_data)}
                for hop in blinded.hops
            ],
        },
        "base_fee_msat": str(path.fee_base_msat),
        "proportional_fee_rate": path.fee_proportional_millionths,
        "total_cltv_delta": path.cltv_expiry_delta,
        "htlc_min_msat": str(path.htlc_minimum_msat),
        "htlc_max_msat": str(path.htlc_maximum_msat),
    }


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
