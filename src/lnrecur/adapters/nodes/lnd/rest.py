"""LND's REST API: one connection pool, the macaroon on every request, and every trouble told apart.

Guarantees: an answer is what LND said, as JSON; everything else is raised. `LndRefused` only when LND understood the
request and turned it down; `LndUnavailable` for all the rest, when nothing can be concluded about what was asked.

The two files are LND's and may change under us: it makes a new tls.cert when the old one runs out, and a macaroon is
baked anew. They are read again when they look different, and once more when a connection fails.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httpx

from lnrecur.adapters.nodes.lnd.errors import LndRefused, LndUnavailable, Trouble
from lnrecur.errors import UsageError

CONNECT_S_MAX: Final = 5.0
ANSWER_S_MAX: Final = 20.0
_LOCKED: Final = ("wallet locked", "wallet not created", "wallet already unlocked")
_STARTING: Final = ("in the process of starting", "waiting to start", "still starting", "not yet ready")
_NOT_PERMITTED: Final = "permission denied"
_WRONG_MACAROON: Final = ("macaroon", "verification failed", "root key")
_NO_SUCH_PATH: Final = "not found"
_UNAUTHENTICATED, _PERMISSION_DENIED, _UNAVAILABLE, _UNIMPLEMENTED = 16, 7, 14, 12
_KEEPALIVE: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), value)
      for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)) if hasattr(socket, name)),
]  # fmt: skip
"""A stream may be silent for hours; a node that vanished without a word is noticed within a minute all the same."""

Json = dict[str, Any]


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
        timeout = httpx.Timeout(ANSWER_S_MAX, connect=CONNECT_S_MAX, read=answer_s_max)
        return await self._ask("POST", path, json=dict(body), timeout=timeout)

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
                    await answer.aread()
                    _answered(answer)
            yield await stack.enter_async_context(aclosing(self._lines(answer)))

    async def _lines(self, answer: httpx.Response) -> AsyncGenerator[Json]:
        with _border(self.url):
            async with aclosing(cast("AsyncGenerator[str]", answer.aiter_lines())) as lines:
                async for line in lines:
                    if not line.strip():
                        continue
                    told = _json(line)
                    if "error" in told:
                        raise _no(told["error"], self.url)
                    yield told.get("result", told)
        raise LndUnavailable(Trouble.UNREACHABLE, f"LND at {self.url} ended the stream")

    async def _ask(self, method: str, path: str, **extra: Any) -> Json:
        with _border(self.url):
            answer = await self._ready().request(method, path, headers=self._headers(), **extra)
            self.date = answer.headers.get("Date", "")
            return _answered(answer)

    # --- the two files

    def _headers(self) -> dict[str, str]:
        file = self._access.macaroon
        seen = _look(file, Trouble.WRONG_MACAROON, "macaroon")
        if seen != self._macaroon_seen:
            self._macaroon = _bytes_of(file, Trouble.WRONG_MACAROON, "macaroon").hex()
            self._macaroon_seen = seen
        return {"Grpc-Metadata-macaroon": self._macaroon}

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
    if isinstance(error, httpx.DecodingError | httpx.RemoteProtocolError) and "disconnected" not in str(error):
        return Trouble.NO_LND, f"does not answer as LND does ({error})"
    return Trouble.UNREACHABLE, f"broke off ({str(error) or type(error).__name__})"


def _answered(answer: httpx.Response) -> Json:
    told = _json(answer.text, status=answer.status_code)
    if answer.is_success:
        return told
    raise _no(told.get("error", told), str(answer.request.url.copy_with(raw_path=b"/")).rstrip("/"))


def _json(text: str, status: int = 200) -> Json:
    try:
        told = json.loads(text)
    except ValueError as error:
        told = None
        cause: Exception | None = error
    else:
        cause = None
    if not isinstance(told, dict):
        begin = " ".join(text.split())[:60]
        raise LndUnavailable(Trouble.NO_LND, f"this is no LND: it answered {status} {begin!r}") from cause
    return told


def _no(told: object, url: str) -> LndUnavailable | LndRefused:
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
