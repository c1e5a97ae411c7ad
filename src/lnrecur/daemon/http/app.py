"""The HTTP API of the daemon: JSON in, JSON out, a bearer token on every request.

It listens on 127.0.0.1 by default. The token keeps other users of the machine out, and pages in a browser too: they
cannot send the header. Errors have one shape: {"error": {"code", "message", "fault", "retry", ...}}. The page
docs/http-api.md describes every route.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from lnrecur.daemon.config import Settings
from lnrecur.daemon.http.doctor_routes import DoctorRoutes
from lnrecur.daemon.http.peer_routes import PeerRoutes
from lnrecur.daemon.http.reading import NotFound
from lnrecur.daemon.http.routes import Routes
from lnrecur.daemon.peer_book import PeerBook
from lnrecur.errors import Fault, LnrecurError
from lnrecur.recurrence.outbound_questions import OtherQuestion
from lnrecur.service.assembly import Services
from lnrecur.service.authorising import KeyReused, NothingWaits

_LOG = logging.getLogger("lnrecur.http")
BODY_MAX: Final = 1_000_000
"""Longest request body we read, in bytes."""
_SKIPPED_MAX: Final = 10 * BODY_MAX
"""A body that is too long, but no longer than this, is read and dropped, so that its sender can read the answer."""
_LENGTH_DIGITS_MAX: Final = 15
_STATUS: Final = {
    Fault.CALLER: 400,
    Fault.PEER: 400,
    Fault.NODE: 502,
    Fault.ENVIRONMENT: 503,
    Fault.OURS: 500,
}
_STATUS_OF: Final[dict[type[LnrecurError], int]] = {
    NotFound: 404,
    NothingWaits: 409,
    OtherQuestion: 409,
    KeyReused: 422,
}
Handler = Callable[[Request], Awaitable[Response]]


def build_app(
    services: Services,
    settings: Settings,
    token: str,
    peer: str | None,
    stopping: Callable[[], bool] = lambda: False,
    peers: PeerBook | None = None,
) -> ASGIApp:
    """The ASGI application.

    Args:
        services: the node's payee and payer.
        settings: those in force.
        token: what every request must show.
        peer: our address as peers write it; None if we listen nowhere.
        stopping: nobody waits for events once this is true.
        peers: who is kept connected; None: there are no routes about peers.
    """
    kept = None if peers is None else peers.kept
    routes = routes_over(Routes(services, settings, peer, stopping, kept))
    routes.append(doctor_route(DoctorRoutes(services, peers, peer)))
    app = Starlette(
        routes=routes if peers is None else routes + peer_routes(PeerRoutes(peers, services.parts.clock)),
        exception_handlers={LnrecurError: _lnrecur_error, HTTPException: _http_error, Exception: _bug},
    )
    app.router.redirect_slashes = False  # a path is right or it is not found
    return _Guard(app, token)


def routes_over(routes: Routes) -> list[Route]:
    """Every path there is, and the methods it takes."""
    payer, offers, orders = routes.payer, routes.offers, routes.orders
    return [
        Route("/v1/info", routes.info, methods=["GET"]),
        Route("/v1/offers", _get_or_post(offers.all, offers.create), methods=["GET", "POST"]),
        Route("/v1/offers/{id}", offers.one, methods=["GET"]),
        *_posts("/v1/offers/{id}", offers.retire, offers.pause, offers.resume, offers.end, offers.replace),
        Route("/v1/subscriptions", _get_or_post(routes.subscriptions, payer.subscribe), methods=["GET", "POST"]),
        Route("/v1/subscriptions/{id}", routes.subscription, methods=["GET"]),
        Route("/v1/subscriptions/{id}/cancel", payer.cancel, methods=["POST"]),
        Route("/v1/subscriptions/{id}/approve", payer.approve, methods=["POST"]),
        Route("/v1/subscriptions/{id}/decline", payer.decline, methods=["POST"]),
        *_posts("/v1/subscriptions/{id}", orders.pause, orders.resume, orders.waive, orders.end),
        Route("/v1/subscriptions/{id}/amend", payer.amend, methods=["POST"]),
        Route("/v1/payments", _get_or_post(payer.payments, payer.pay), methods=["GET", "POST"]),
        Route("/v1/payments/{id}", payer.payment, methods=["GET"]),
        Route("/v1/payments/{id}/cancel", payer.cancel_payment, methods=["POST"]),
        Route("/v1/events", routes.events, methods=["GET"]),
    ]


def doctor_route(routes: DoctorRoutes) -> Route:
    """The path of `lnrecur doctor`."""
    return Route("/v1/doctor", routes.doctor, methods=["GET"])


def peer_routes(routes: PeerRoutes) -> list[Route]:
    """The paths about peers."""
    return [
        Route("/v1/peers", _get_or_post(routes.peers, routes.add), methods=["GET", "POST"]),
        Route("/v1/peers/{id}", routes.remove, methods=["DELETE"]),
    ]


def _posts(path: str, *handlers: Handler) -> list[Route]:
    """Routes below `path` that carry the names of their handlers."""
    return [Route(f"{path}/{handler.__name__}", handler, methods=["POST"]) for handler in handlers]


def _get_or_post(get: Handler, post: Handler) -> Handler:
    """One route for both, so that a third method is answered with both in `Allow`."""

    async def handle(request: Request) -> Response:
        return await (post if request.method == "POST" else get)(request)

    return handle


class _Guard:
    """Lets only requests with the token through, and only bodies of a bearable size."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # no lifespan and no websockets here
            return
        headers = dict(scope["headers"])
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
            told = "send the token of the http-token file as a bearer token"
            refused = _error(401, "Unauthorized", told, headers={"WWW-Authenticate": "Bearer"})
            await refused(scope, receive, send)
            return
        length = _body_length(headers)
        if length is None or length > BODY_MAX:
            if length is not None and length <= _SKIPPED_MAX:
                await _skip_body(receive)
            told = f"a body has a Content-Length of at most {BODY_MAX} bytes"
            refused = _error(413, "TooLarge", told, headers={"Connection": "close"})
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _body_length(headers: dict[bytes, bytes]) -> int | None:
    """How long the body is, None where nobody says it in a number."""
    told = headers.get(b"content-length", b"0")
    if b"transfer-encoding" in headers or not told.isdigit() or len(told) > _LENGTH_DIGITS_MAX:
        return None
    return int(told)


async def _skip_body(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        continue


def _error(
    status: int,
    code: str,
    message: str,
    *,
    fault: Fault = Fault.CALLER,
    retry: bool = False,
    details: dict[str, str | int] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    told: dict[str, Any] = {"code": code, "message": message, "fault": fault.value, "retry": retry}
    return JSONResponse({"error": {**(details or {}), **told}}, status_code=status, headers=headers)


async def _lnrecur_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, LnrecurError):
        raise error
    status = _STATUS_OF.get(type(error), _STATUS[error.fault])
    if status >= 500:
        _LOG.warning("%s %s failed: %s", request.method, request.url.path, error)
    code = type(error).__name__
    return _error(status, code, str(error), fault=error.fault, retry=error.retry, details=error.details())


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    told = f"{request.method} {request.url.path}: {error.detail}"
    code = error.detail.title().replace(" ", "")
    return _error(error.status_code, code, told, headers=_sorted_allow(error))


def _sorted_allow(error: HTTPException) -> dict[str, str]:
    headers = dict(error.headers or {})
    if "Allow" in headers:  # the router keeps methods in a set
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    return headers


async def _bug(request: Request, error: Exception) -> Response:
    # Starlette raises the error again behind this answer; uvicorn logs it with its traceback and ends the connection.
    told = "this is a bug of lnrecur; the daemon's log has the details"
    return _error(500, "Bug", told, fault=Fault.OURS, headers={"Connection": "close"})
