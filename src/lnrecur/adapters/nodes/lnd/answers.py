"""What comes back over REST, read with care: bounded, and either JSON in LND's manner or no word of LND's at all."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, cast

import httpx

from lnrecur.adapters.nodes.lnd.errors import LndRefused, LndUnavailable, Trouble

BODY_MAX: Final = 64 * 1024 * 1024
"""Bytes of an answer, or of a line of a stream. A node with 20,000 channels tells of them in less."""
_LOCKED: Final = ("wallet locked", "wallet not created", "wallet already unlocked")
_STARTING: Final = ("in the process of starting", "waiting to start", "still starting", "not yet ready")
_NOT_PERMITTED: Final = "permission denied"
_WRONG_MACAROON: Final = ("macaroon", "verification failed", "root key")
_NO_SUCH_PATH: Final = "not found"
_UNAUTHENTICATED, _PERMISSION_DENIED, _UNAVAILABLE, _UNIMPLEMENTED = 16, 7, 14, 12

Json = dict[str, Any]


async def whole(answer: httpx.Response) -> bytes:
    """The body.

    Raises:
        LndUnavailable: it is too big to be LND's.
    """
    body = bytearray()
    async with aclosing(cast("AsyncGenerator[bytes]", answer.aiter_bytes())) as parts:
        async for part in parts:
            body += part
            _check_size(body)
    return bytes(body)


async def lines_of(answer: httpx.Response) -> AsyncGenerator[bytes]:
    """The lines of a stream.

    Raises:
        LndUnavailable: one is too long to be LND's.
    """
    begun = bytearray()
    async with aclosing(cast("AsyncGenerator[bytes]", answer.aiter_bytes())) as parts:
        async for part in parts:
            *lines, rest = part.split(b"\n")
            for line in lines:
                yield bytes(begun) + line
                begun.clear()
            begun += rest
            _check_size(begun)
    if begun:
        yield bytes(begun)


def _check_size(data: bytearray) -> None:
    if len(data) > BODY_MAX:
        raise LndUnavailable(Trouble.NO_LND, f"this is no LND: it answers with more than {BODY_MAX:,} bytes")


def answered(answer: httpx.Response, body: bytes) -> Json:
    """The answer of a call.

    Raises:
        LndRefused: LND says no.
        LndUnavailable: it is about the node, or no word of LND's.
    """
    told = read_json(body, status=answer.status_code)
    if answer.is_success:
        return told
    raise no_of(told.get("error", told), str(answer.request.url.copy_with(raw_path=b"/")).rstrip("/"))


def read_json(text: bytes, status: int = 200) -> Json:
    """A JSON object.

    Raises:
        LndUnavailable: it is none.
    """
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        told = None
        cause: Exception | None = error
    else:
        cause = None
    if not isinstance(told, dict):
        begin = " ".join(text[:200].decode(errors="replace").split())[:60]
        raise LndUnavailable(Trouble.NO_LND, f"this is no LND: it answered {status} {begin!r}") from cause
    return told


def no_of(told: object, url: str) -> LndUnavailable | LndRefused:
    """LND's no: trouble that is about the node, or a refusal that is about the request."""
    message = str(told.get("message", "")) if isinstance(told, dict) else ""
    code = told.get("code") if isinstance(told, dict) else None
    if not isinstance(code, int) or not message:
        return LndUnavailable(Trouble.NO_LND, f"this is no LND: {url} answered {str(told)[:60]!r}")
    low = message.lower()
    for words, trouble, way_out in (
        (_LOCKED, Trouble.LOCKED, "unlock it with `lncli unlock`"),
        (_STARTING, Trouble.STARTING, "it is starting"),
        (
            (_NOT_PERMITTED,),
            Trouble.NOT_PERMITTED,
            "the macaroon does not allow this: bake it as docs/nodes/lnd.md says",
        ),
        (_WRONG_MACAROON, Trouble.WRONG_MACAROON, "LND does not know this macaroon: bake it as docs/nodes/lnd.md says"),
    ):
        if any(word in low for word in words):
            return LndUnavailable(trouble, f"LND at {url}: {message} ({way_out})")
    if low == _NO_SUCH_PATH:
        return LndUnavailable(Trouble.STARTING, f"LND at {url} does not offer this yet: it is starting")
    if code == _UNIMPLEMENTED:
        return LndUnavailable(Trouble.NOT_BUILT_IN, f"LND at {url}: {message} (its release has this part)")
    if code in (_UNAUTHENTICATED, _PERMISSION_DENIED):
        return LndUnavailable(Trouble.WRONG_MACAROON, f"LND at {url}: {message}")
    if code == _UNAVAILABLE:
        return LndUnavailable(Trouble.UNREACHABLE, f"LND at {url}: {message}")
    return LndRefused(code, message)
