"""The least LND has to allow, and what of it the macaroon at hand lacks.

Each permission is tried by asking for it in a way that does nothing: LND looks at the macaroon before it looks at the
question. So the answer is LND's own, for a macaroon of any kind, also one whose root key was deleted.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lnrecur.adapters.nodes.lnd.errors import LndRefused, LndUnavailable, Trouble
from lnrecur.adapters.nodes.lnd.rest import LndRest

_NOTHING: Final = base64.b64encode(bytes(32)).decode()
_NO_NODE: Final = "02" + "00" * 31 + "01"
_STREAM_S: Final = 0.5
"""A stream that was not refused within this time is allowed: its first line may be hours away."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One call of LND's."""

    uri: str
    why: str
    method: str
    path: str
    body: Mapping[str, Any] = field(default_factory=dict)
    is_stream: bool = False
    is_optional: bool = False


PERMISSIONS: Final = (
    Permission("/lnrpc.Lightning/GetInfo", "to know the node", "GET", "/v1/getinfo"),
    Permission("/lnrpc.Lightning/ListChannels", "to begin payment paths at peers", "GET", "/v1/channels"),
    Permission("/lnrpc.Lightning/GetChanInfo", "to know what peers charge", "GET", "/v1/graph/edge/1"),
    Permission("/lnrpc.Lightning/GetNodeInfo", "to know which peers blind routes", "GET", f"/v1/graph/node/{_NO_NODE}"),
    Permission("/lnrpc.Lightning/AddInvoice", "to receive, with lnd_hold off", "POST", "/v1/invoices",
               {"value_msat": "-1"}),
    Permission("/lnrpc.Lightning/LookupInvoice", "to receive", "GET", f"/v1/invoice/{bytes(32).hex()}"),
    Permission("/lnrpc.Lightning/ListInvoices", "to receive", "GET", "/v1/invoices?num_max_invoices=1"),
    Permission("/lnrpc.Lightning/SubscribeInvoices", "to be told at once", "GET", "/v1/invoices/subscribe",
               is_stream=True),
    Permission("/invoicesrpc.Invoices/AddHoldInvoice", "to receive, with lnd_hold on", "POST", "/v2/invoices/hodl",
               {"hash": ""}),
    Permission("/invoicesrpc.Invoices/SettleInvoice", "to claim", "POST", "/v2/invoices/settle",
               {"preimage": _NOTHING}),
    Permission("/invoicesrpc.Invoices/CancelInvoice", "to return payments and withdraw invoices", "POST",
               "/v2/invoices/cancel", {"payment_hash": ""}),
    Permission("/routerrpc.Router/SendPaymentV2", "to pay", "POST", "/v2/router/send", is_stream=True),
    Permission("/routerrpc.Router/TrackPaymentV2", "to pay", "GET",
               f"/v2/router/track/{base64.urlsafe_b64encode(bytes(32)).decode()}", is_stream=True),
    Permission("/lnrpc.Lightning/QueryRoutes", "to tell why a payment failed", "GET", f"/v1/graph/routes/{_NO_NODE}/0"),
    Permission("/lnrpc.Lightning/DecodePayReq", "to tell why a payment failed", "GET", "/v1/payreq/none"),
    Permission("/routerrpc.Router/SendToRouteV2", "to pay over paths that are too long for BOLT 11", "POST",
               "/v2/router/route/send", is_optional=True),
    Permission("/signrpc.Signer/DeriveSharedKey", "to pay payees whose path begins at your own node", "POST",
               "/v2/signer/sharedkey", is_optional=True),
)  # fmt: skip


def bake_command(file: str) -> str:
    """The command that makes the macaroon."""
    uris = " \\\n    ".join(f"uri:{permission.uri}" for permission in PERMISSIONS)
    return f"lncli bakemacaroon --save_to {file} \\\n    {uris}"


async def missing_permissions(rest: LndRest) -> Sequence[Permission]:
    """What LND does not allow.

    Raises:
        LndUnavailable: it cannot be asked at all.
    """
    return [permission for permission in PERMISSIONS if not await _is_allowed(rest, permission)]


async def _is_allowed(rest: LndRest, permission: Permission) -> bool:
    try:
        if permission.is_stream:
            body = permission.body if permission.method == "POST" else None
            async with asyncio.timeout(_STREAM_S), rest.stream(permission.method, permission.path, body=body):
                return True
        if permission.method == "GET":
            await rest.get(permission.path)
        else:
            await rest.post(permission.path, permission.body)
    except (LndRefused, TimeoutError):
        return True
    except LndUnavailable as error:
        if error.trouble is Trouble.NOT_PERMITTED:
            return False
        if error.trouble is Trouble.STARTING or error.trouble is Trouble.NOT_BUILT_IN:
            return False
        raise
    return True
