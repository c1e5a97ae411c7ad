"""The command's way to the daemon: its HTTP API, found and opened through the files of the daemon's folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import httpx

from lnrecur.daemon.config import Home, load_settings
from lnrecur.daemon.files import read_token, running_daemon
from lnrecur.errors import Fault, LnrecurError

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
_TIMEOUT_S: Final = 30.0


class DaemonUnreachable(LnrecurError):
    """No daemon answers."""

    fault = Fault.ENVIRONMENT
    retry = True


class DaemonRefused(LnrecurError):
    """The daemon says that what was asked is wrong."""

    fault = Fault.CALLER

    def __init__(self, told: Mapping[str, Any]) -> None:
        super().__init__(str(told.get("message", "the daemon refused without a reason")))
        self.told = told

    def details(self) -> dict[str, str | int]:
        """What the daemon said beyond the message."""
        return {key: value for key, value in self.told.items() if key not in ("message", "fault", "retry")}


class DaemonFailed(DaemonRefused):
    """The daemon could not do what was asked; it is not the asker's fault."""

    fault = Fault.ENVIRONMENT


def home_option(command: AnyFunction) -> AnyFunction:
    """Give a command `--home`, as its argument `home`."""
    option = click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        callback=lambda context, parameter, value: Home.find(value),
        help="Folder of the daemon's files, instead of the XDG folders.  [env: LNRECUR_HOME]",
    )
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
        address = os.environ.get("LNRECUR_HTTP_LISTEN") or (running_daemon(home) or {}).get("http")
        self._address = address or load_settings(home).http_listen
        self._http = httpx.Client(
            base_url=f"http://{self._address}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT_S,
            trust_env=False,
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

    def _ask(self, method: str, path: str, **extra: Any) -> Any:
        try:
            answer = self._http.request(method, path, **extra)
            told = answer.json()
        except httpx.TransportError as error:
            why = "start it with `lnrecur run`"
            raise DaemonUnreachable(f"no daemon answers on {self._address} ({error}): {why}") from error
        except ValueError as error:
            raise DaemonUnreachable(f"what answers on {self._address} is no lnrecur daemon") from error
        if answer.is_success:
            return told
        error_told = told.get("error", {}) if isinstance(told, dict) else {}
        raise (DaemonRefused if answer.status_code < 500 else DaemonFailed)(error_told)
