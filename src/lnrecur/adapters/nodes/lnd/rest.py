"""LND's REST API: one connection pool, the macaroon on every request, and every trouble told apart.

Guarantees: an answer is what LND said, as JSON; everything else is raised. `LndRefused` only when LND understood the
request and turned it down; `LndUnavailable` for all the rest, when nothing can be concluded about what was asked.

The two files are LND's and may change under us: it makes a new tls.cert when the old one runs out, and a macaroon is
baked anew. They are read again when they look different, and once more when a connection fails.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from lnrecur.adapters.nodes.lnd.answers import Json, answered, lines_of, no_of, read_json, whole
from lnrecur.adapters.nodes.lnd.errors import LndUnavailable, Trouble
from lnrecur.errors import UsageError

CONNECT_S_MAX: Final = 5.0
ANSWER_S_MAX: Final = 20.0
"""Seconds without a sign of life."""
WHOLE_S_MAX: Final = 60.0
"""Seconds for a whole answer: one that comes drop by drop is none."""
_BROKEN_OFF: Final = ("disconnected", "peer closed connection")
"""How httpx words that nobody is there any more, in the middle of an answer or before it."""
_KEEPALIVE: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), value)
      for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)) if hasattr(socket, name)),
]  # fmt: skip
"""A stream may be silent for hours; a node that vanished without a word is noticed within a minute all the same."""


@dataclass(frozen=True, slots=True)
class LndAccess:
    """Where LND is and what opens it."""

    url: str
    macaroon: Path
    certificate: Path

    def __post_init__(self) -> None:
        """Refuse what cannot be an address.

        Raises:
            UsageError: names the setting.
        """
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/") or parts.query or port == 0:
            told = f"lnd_url is https://HOST:PORT, LND's restlisten, not {self.url!r}"
            raise UsageError(told, field="lnd_url")


class LndRest:
    """Asks one LND."""

    def __init__(self, access: LndAccess) -> None:
        self._access = access
        self._client: httpx.AsyncClient | None = None
        self._certificate_seen: tuple[int, int] | None = None
        self._macaroon_seen: tuple[int, int] | None = None
        self._macaroon = ""
        self._retired: list[httpx.AsyncClient] = []
        self._closed = False
        self.date = ""
        """When LND gave its last answer, by its own clock, as HTTP writes it."""

    @property
    def url(self) -> str:
        """Where it is asked."""
        return self._access.url

    async def close(self) -> None:
        """Let go of all connections."""
        for client in [*self._retired, *([] if self._client is None else [self._client])]:
            await client.aclose()
        self._retired, self._client, self._closed = [], None, True

    async def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Json:
        """GET.

        Raises:
            LndRefused: LND says no.
            LndUnavailable: no answer that could be used.
        """
        return await self._ask("GET", path, params=dict(query or {}))

    async def post(self, path: str, body: Mapping[str, Any], *, answer_s_max: float | None = ANSWER_S_MAX) -> Json:
        """POST. `answer_s_max`: how long the answer may take; None: for ever.

        Raises:
            LndRefused: LND says no.
            LndUnavailable: no answer that could be used; LND may have acted.
        """
        return await self._ask("POST", path, answer_s_max=answer_s_max, json=dict(body))

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> AsyncIterator[AsyncIterator[Json]]:
        """What LND tells line by line, for as long as the context is open.

        Raises:
            LndRefused: LND says no, at once or later.
            LndUnavailable: no connection, or it ended.
        """
        async with AsyncExitStack() as stack:
            with _border(self.url):
                sent: Json = {"params": dict(query or {})} | ({} if body is None else {"json": dict(body)})
                timeout = httpx.Timeout(ANSWER_S_MAX, connect=CONNECT_S_MAX, read=None)
                opened = self._ready().stream(method, path, headers=self._headers(), timeout=timeout, **sent)
                answer = await stack.enter_async_context(opened)
                if not answer.is_success:
                    answered(answer, await whole(answer))
            yield await stack.enter_async_context(aclosing(self._lines(answer)))

    async def _lines(self, answer: httpx.Response) -> AsyncGenerator[Json]:
        with _border(self.url):
            async with aclosing(lines_of(answer)) as lines:
                async for line in lines:
                    if not line.strip():
                        continue
                    told = read_json(line)
                    if "error" in told:
                        raise no_of(told["error"], self.url)
                    result = told.get("result", told)
                    if not isinstance(result, dict):
                        raise LndUnavailable(Trouble.NO_LND, f"this is no LND: it told {str(result)[:60]!r}")
                    yield result
        raise LndUnavailable(Trouble.UNREACHABLE, f"LND at {self.url} ended the stream")

    async def _ask(self, method: str, path: str, *, answer_s_max: float | None = ANSWER_S_MAX, **extra: Any) -> Json:
        whole_s_max = None if answer_s_max is None else WHOLE_S_MAX
        timeout = httpx.Timeout(ANSWER_S_MAX, connect=CONNECT_S_MAX, read=answer_s_max)
        try:
            with _border(self.url):
                async with (
                    asyncio.timeout(whole_s_max),
                    self._ready().stream(method, path, headers=self._headers(), timeout=timeout, **extra) as answer,
                ):
                    self.date = answer.headers.get("Date", "")
                    return answered(answer, await whole(answer))
        except TimeoutError as error:
            told = f"LND at {self.url} did not answer in full within {WHOLE_S_MAX:g} seconds"
            raise LndUnavailable(Trouble.UNREACHABLE, told) from error

    # --- the two files

    def _headers(self) -> dict[str, str]:
        file = self._access.macaroon
        seen = _look(file, Trouble.WRONG_MACAROON, "macaroon")
        if seen != self._macaroon_seen:
            self._macaroon = _bytes_of(file, Trouble.WRONG_MACAROON, "macaroon").hex()
            self._macaroon_seen = seen
        return {"Grpc-Metadata-macaroon": self._macaroon, "Accept-Encoding": "identity"}

    def _ready(self) -> httpx.AsyncClient:
        """A client that trusts the certificate as it is now."""
        if self._closed:
            raise LndUnavailable(Trouble.UNREACHABLE, "the connection to LND was closed here")
        file = self._access.certificate
        seen = _look(file, Trouble.WRONG_CERTIFICATE, "certificate")
        if self._client is None or seen != self._certificate_seen:
            if self._client is not None:
                self._retired.append(self._client)  # its streams may go on
            self._client = self._connect()
            self._certificate_seen = seen
        return self._client

    def _connect(self) -> httpx.AsyncClient:
        pem = _bytes_of(self._access.certificate, Trouble.WRONG_CERTIFICATE, "certificate")
        try:
            context = ssl.create_default_context(cadata=pem.decode())
            # Strict rules are for authorities; here exactly one certificate is trusted, and it is LND's own.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        except (ssl.SSLError, ValueError) as error:
            told = f"{self._access.certificate} is no certificate: it has to be LND's tls.cert ({error})"
            raise LndUnavailable(Trouble.WRONG_CERTIFICATE, told) from error
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=8)
        return httpx.AsyncClient(
            base_url=self.url,
            timeout=httpx.Timeout(ANSWER_S_MAX, connect=CONNECT_S_MAX),
            transport=httpx.AsyncHTTPTransport(verify=context, limits=limits, socket_options=_KEEPALIVE),
            trust_env=False,
        )


class _Border:
    """What httpx raises is trouble of ours."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, httpx.HTTPError | httpx.StreamError):
            trouble, told = _trouble_of(error)
            raise LndUnavailable(trouble, f"LND at {self._url} {told}") from error


def _border(url: str) -> _Border:
    return _Border(url)


def _trouble_of(error: Exception) -> tuple[Trouble, str]:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            told = f"shows another certificate than the file lnd_cert names ({cause.verify_message})"
            return Trouble.WRONG_CERTIFICATE, told
        if isinstance(cause, ssl.SSLError):
            return Trouble.NO_LND, f"does not speak TLS ({cause.reason or cause})"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.TimeoutException):
        return Trouble.UNREACHABLE, "did not answer in time"
    if isinstance(error, httpx.ConnectError):
        return Trouble.UNREACHABLE, f"cannot be reached ({str(error) or 'it hangs up: is that its restlisten?'})"
    broken = any(words in str(error) for words in _BROKEN_OFF)
    if isinstance(error, httpx.DecodingError | httpx.RemoteProtocolError) and not broken:
        return Trouble.NO_LND, f"does not answer as LND does ({error})"
    return Trouble.UNREACHABLE, f"broke off ({str(error) or type(error).__name__})"


def _look(file: Path, trouble: Trouble, what: str) -> tuple[int, int]:
    try:
        seen = file.stat()
    except OSError as error:
        told = f"LND's {what} {file} cannot be read: {error.strerror or error}"
        raise LndUnavailable(trouble, told) from error
    return seen.st_mtime_ns, seen.st_size


def _bytes_of(file: Path, trouble: Trouble, what: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        told = f"LND's {what} {file} cannot be read: {error.strerror or error}"
        raise LndUnavailable(trouble, told) from error
