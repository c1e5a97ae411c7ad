"""The HTTP API of the daemon: JSON in, JSON out, a bearer token on every request.

It listens on 127.0.0.1 by default. The token keeps other users of the machine out, and pages in a browser too: they
cannot send the header. Errors have one shape: {"error": {"code", "message", "fault", "retry", ...}}.
"""

from __future__ import annotations

import hmac
import logging
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from lnrecur.daemon.config import Settings
from lnrecur.daemon.http.routes import Routes
from lnrecur.errors import Fault, LnrecurError
from lnrecur.service.assembly import Services

_LOG = logging.getLogger("lnrecur.http")
BODY_MAX: Final = 1_000_000
"""Longest request body we read, in bytes."""
_STATUS: Final = {
    Fault.CALLER: 400,
    Fault.PEER: 400,
    Fault.NODE: 502,
    Fault.ENVIRONMENT: 503,
    Fault.OURS: 500,
}


def build_app(services: Services, settings: Settings, token: str, peer: str | None) -> ASGIApp:
    """The ASGI application. `peer` is our address as peers write it."""
    routes = Routes(services, settings, peer)
    app = Starlette(
        routes=[
            Route("/v1/info", routes.info, methods=["GET"]),
            Route("/v1/offers", routes.offers, methods=["GET"]),
            Route("/v1/offers", routes.create_offer, methods=["POST"]),
            Route("/v1/offers/{id}", routes.offer, methods=["GET"]),
            Route("/v1/subscriptions", routes.subscriptions, methods=["GET"]),
            Route("/v1/subscriptions", routes.subscribe, methods=["POST"]),
            Route("/v1/subscriptions/{id}", routes.subscription, methods=["GET"]),
            Route("/v1/subscriptions/{id}/cancel", routes.cancel, methods=["POST"]),
            Route("/v1/subscriptions/{id}/approve", routes.approve, methods=["POST"]),
            Route("/v1/payments", routes.payments, methods=["GET"]),
            Route("/v1/events", routes.events, methods=["GET"]),
        ],
        exception_handlers={
            LnrecurError: _lnrecur_error,
            msgspec.ValidationError: _invalid_body,
            msgspec.DecodeError: _invalid_body,
            HTTPException: _http_error,
            Exception: _bug,
        },
    )
    return _Guard(app, token)


class _Guard:
    """Lets only requests with the token through, and only bodies of a bearable size."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            given = headers.get(b"authorization", b"")
            length = headers.get(b"content-length", b"0")
            if not hmac.compare_digest(given, self._expected):
                refused = _error(401, "unauthorized", "send the token of the http-token file as a bearer token")
                await refused(scope, receive, send)
                return
            if b"transfer-encoding" in headers or not length.isdigit() or int(length) > BODY_MAX:
                refused = _error(413, "too_large", f"a body has a Content-Length of at most {BODY_MAX} bytes")
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _error(status: int, code: str, message: str, **details: Any) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message, **details}}, status_code=status)


async def _lnrecur_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, LnrecurError):
        raise error
    details = {"fault": error.fault.value, "retry": error.retry, **error.details()}
    return _error(_STATUS[error.fault], type(error).__name__, str(error), **details)


async def _invalid_body(request: Request, error: Exception) -> Response:
    told, _, place = str(error).partition(" - at `$.")
    field = place.removesuffix("`")
    message = f"{field}: {told}" if field else told
    return _error(400, "InvalidBody", message, fault=Fault.CALLER.value, retry=False, field=field or "body")


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return _error(error.status_code, "http", f"{request.method} {request.url.path}: {error.detail}")


async def _bug(request: Request, error: Exception) -> Response:
    _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _error(500, "bug", "this is a bug of lnrecur; the daemon's log has the details", fault=Fault.OURS.value)
