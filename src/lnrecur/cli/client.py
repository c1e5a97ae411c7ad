"""The command's way to the daemon: its HTTP API, found and opened through the files of the daemon's folder."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import httpx

from lnrecur.daemon.config import Home, split_listen
from lnrecur.daemon.files import read_token, running_daemon
from lnrecur.errors import Fault, LnrecurError, UsageError

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
_TIMEOUT_S: Final = 60.0
"""Longer than the daemon lets anybody wait for events."""
_ADDRESS_VARIABLE: Final = "LNRECUR_HTTP_LISTEN"
_KEY_HEADER: Final = "Idempotency-Key"
_AGAIN_S: Final = 1.0
_STORE_AWAY: Final = "StoreUnavailable"
_ID: Final = re.compile(r"[0-9a-fA-F]{1,66}")
_WAY_OUT: Final = "start it with `lnrecur run`"


class DaemonUnreachable(LnrecurError):
    """No daemon answers."""

    fault = Fault.ENVIRONMENT
    retry = True


class OutcomeUnknown(DaemonUnreachable):
    """The connection broke while something was ordered: it may have been heard or not."""


class DaemonRefused(LnrecurError):
    """The daemon says that what was asked is wrong."""

    fault = Fault.CALLER

    def __init__(self, told: Mapping[str, Any]) -> None:
        super().__init__(str(told.get("message", "the daemon refused without a reason")))
        self.told = told

    def details(self) -> dict[str, str | int]:
        """What the daemon said beyond the message; its own name for the error is `daemon_code`."""
        told = {key: value for key, value in self.told.items() if key not in ("code", "message", "fault", "retry")}
        return {**told, "daemon_code": str(self.told.get("code", ""))}


class DaemonFailed(DaemonRefused):
    """The daemon could not do what was asked; it is not the asker's fault."""

    fault = Fault.ENVIRONMENT


class DaemonFailedForNow(DaemonFailed):
    """The same, and the same may succeed later without anybody changing anything."""

    retry = True


def home_option(command: AnyFunction) -> AnyFunction:
    """Give a command `--home`, as its argument `home`."""
    option = click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        callback=lambda context, parameter, value: Home.find(value),
        help="Folder of the daemon's files, instead of the XDG folders.  [env: LNRECUR_HOME]",
    )
    return option(command)


def key_option(command: AnyFunction) -> AnyFunction:
    """Give a command that orders something `--idempotency-key`, as its argument `key`."""
    option = click.option(
        "--idempotency-key", "key", metavar="KEY",
        help="A name of your own for this order: however often it is given under one name, it is one order.",
    )  # fmt: skip
    return option(command)


class Client:
    """Asks the daemon of one home."""

    def __init__(self, home: Home) -> None:
        """Find the daemon and its token.

        Raises:
            HomeError: there is no token; nothing was initialised here.
            DaemonUnreachable: no daemon runs.
        """
        token = read_token(home)
        self._address = _address(home)
        self._http = httpx.Client(
            base_url=f"http://{self._address}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT_S,
            trust_env=False,
            verify=False,  # noqa: S501 - plain HTTP to this machine; reading certificates would take longer than asking
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def get(self, path: str, **query: Any) -> Any:
        """GET and the JSON that comes back.

        Raises:
            DaemonUnreachable: nobody answers.
            DaemonRefused: it says no.
            DaemonFailed: it cannot.
        """
        return self._ask("GET", path, params={key: value for key, value in query.items() if value is not None})

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST and the JSON that comes back.

        Raises:
            DaemonUnreachable: nobody answers.
            DaemonRefused: it says no.
            DaemonFailed: it cannot.
        """
        return self._ask("POST", path, json=dict(body or {}))

    def order(self, path: str, body: Mapping[str, Any], key: str | None = None) -> Any:
        """POST an order under a key, so that it counts once; given again, once, where nobody knows if it was heard.

        Raises:
            OutcomeUnknown: that is not known after the second time either; the text says how to find out.
            DaemonUnreachable: nobody answers.
            DaemonRefused: it says no.
            DaemonFailed: it cannot.
        """
        key = secrets.token_hex(16) if key is None else key
        extra = {"json": dict(body), "headers": {_KEY_HEADER: key}}
        try:
            return self._ask("POST", path, **extra)
        except (OutcomeUnknown, DaemonFailedForNow) as first:
            if not _may_have_been_heard(first):
                raise
        time.sleep(_AGAIN_S)
        try:
            return self._ask("POST", path, **extra)
        except (DaemonUnreachable, DaemonFailedForNow) as second:
            told = f"{second}; whether this was ordered is not known: give the same command again with"
            raise OutcomeUnknown(f"{told} --idempotency-key {key}, which never orders it twice") from second

    def delete(self, path: str) -> Any:
        """DELETE and the JSON that comes back.

        Raises:
            DaemonUnreachable: nobody answers.
            DaemonRefused: it says no.
            DaemonFailed: it cannot.
        """
        return self._ask("DELETE", path)

    def _ask(self, method: str, path: str, **extra: Any) -> Any:
        try:
            answer = self._http.request(method, path, **extra)
            told = answer.json()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise DaemonUnreachable(f"no daemon answers on {self._address} ({error}): {_WAY_OUT}") from error
        except httpx.HTTPError as error:
            raise OutcomeUnknown(f"no daemon answers on {self._address} ({error}): {_WAY_OUT}") from error
        except ValueError as error:
            raise DaemonUnreachable(f"what answers on {self._address} is no lnrecur daemon") from error
        if answer.is_success:
            return told
        error_told = told.get("error") if isinstance(told, dict) else None
        if not isinstance(error_told, dict):
            raise DaemonUnreachable(f"what answers on {self._address} is no lnrecur daemon")
        if answer.status_code < 500:
            raise DaemonRefused(error_told)
        raise (DaemonFailedForNow if error_told.get("retry") is True else DaemonFailed)(error_told)


def _may_have_been_heard(error: OutcomeUnknown | DaemonFailedForNow) -> bool:
    """Whether an order may be stored all the same: a store that went away while it wrote cannot say."""
    return isinstance(error, OutcomeUnknown) or error.told.get("code") == _STORE_AWAY


def path_to(collection: str, name: str, *rest: str) -> str:
    """The path of one thing, by its id or a beginning of it: `/v1/offers/0123`.

    Raises:
        UsageError: that is not how ids are written.
    """
    if _ID.fullmatch(name) is None:
        raise UsageError(f"{name[:80]!r} is no id: ids are written with the digits 0 to 9 and a to f", field="id")
    return "/".join(("/v1", collection, name, *rest))


def _address(home: Home) -> str:
    """Where the daemon of this folder is reached: it tells itself while it runs.

    The variable is for daemons whose lock cannot be seen from here. What else may listen on the port of the settings
    while no daemon runs must not be shown the token.
    """
    running = running_daemon(home)
    if running is not None and running.get("http") == "":
        raise DaemonUnreachable(f"the daemon in {home.data_dir} serves no HTTP: see http_listen in docs/settings.md")
    address = (running or {}).get("http") or os.environ.get(_ADDRESS_VARIABLE)
    if not address:
        raise DaemonUnreachable(f"no daemon runs in {home.data_dir}: {_WAY_OUT}")
    host, port = split_listen(address, _ADDRESS_VARIABLE)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
