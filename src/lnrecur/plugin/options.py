"""From what lightningd tells in `init` to the settings of the daemon.

The plugin's options and what lightningd says of itself (network, socket) win over config.toml in lnrecur's folder, as
flags do; everything else can be set there, and by LNRECUR_* variables.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lnrecur.daemon.config import DEFAULT_HTTP_PORT, Home, Settings, load_settings
from lnrecur.daemon.files import create_home, read_seed, read_token
from lnrecur.errors import UsageError
from lnrecur.plugin.catalogue import OPTIONS
from lnrecur.values import CHAINS

_LOCALHOST: Final = "127.0.0.1"
ANY_PORT: Final = f"{_LOCALHOST}:0"
_OFF: Final = ("off", "0", "")
_PORT_MAX: Final = 65535
_DEFAULTS: Final = {name: default for name, default, _ in OPTIONS}


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the daemon needs to run."""

    home: Home
    settings: Settings
    rpc_file: Path
    is_new: bool
    """Whether the seed has just been made."""
    any_port: bool
    """Whether the HTTP API may be served on another port than the usual one."""


def prepare(init: Mapping[str, Any]) -> Prepared:
    """Settings and files, from the parameters of `init`. Makes the folder and the seed where there are none.

    Raises:
        LnrecurError: the daemon could not run like this; the text is for the person who starts lightningd.
    """
    told, options = init.get("configuration"), {**_DEFAULTS, **(init.get("options") or {})}
    if not isinstance(told, Mapping) or not isinstance(told.get("lightning-dir"), str):
        raise UsageError("lightningd does not say where its folder is")
    folder = Path(told["lightning-dir"])
    home = Home.find(folder / str(options["lnrecur-dir"]))
    rpc_file = folder / str(told.get("rpc-file", "lightning-rpc"))
    chain = str(told.get("network"))
    if chain not in CHAINS:
        raise UsageError(f"lnrecur does not know the network {chain}: it knows {', '.join(CHAINS)}")
    is_new = not home.seed.exists()
    if is_new:
        if home.database.exists():
            told_so = f"{home.database} is there, and its seed {home.seed} is not: nothing in it can go on without it"
            raise UsageError(f"{told_so}; put the seed back, from a backup, or move the database away")
        create_home(home)
    read_seed(home)
    read_token(home)
    settings = load_settings(
        home,
        {
            "chain": chain,
            "money_node": "cln",
            "cln_rpc_file": str(rpc_file),
            "messages": str(options["lnrecur-messages"]),
            "dialect": str(options["lnrecur-dialect"]),
            "http_listen": _http_listen(str(options["lnrecur-http-port"])),
            "log_level": str(options["lnrecur-log-level"]),
        },
    )
    return Prepared(home, settings, rpc_file, is_new, any_port=_is_auto(str(options["lnrecur-http-port"])))


def _http_listen(port: str) -> str:
    word = port.strip().lower()
    if word in _OFF:
        return ""
    if _is_auto(word):
        return f"{_LOCALHOST}:{DEFAULT_HTTP_PORT}" if _is_free(DEFAULT_HTTP_PORT) else ANY_PORT
    if not word.isascii() or not word.isdigit() or len(word) > len(str(_PORT_MAX)) or int(word) > _PORT_MAX:
        told = f"lnrecur-http-port is a port, auto or off, not {port!r}"
        raise UsageError(told, field="lnrecur-http-port")
    return f"{_LOCALHOST}:{word}"


def _is_auto(port: str) -> bool:
    return port.strip().lower() == "auto"


def _is_free(port: int) -> bool:
    try:
        with socket.create_server((_LOCALHOST, port)):
            return True
    except OSError:
        return False
