"""Settings: a TOML file under the XDG paths, overridable by `LNRECUR_*` variables and by flags.

Flags win over the environment, the environment over the file, the file over the defaults. Secrets (seed, token) are no
settings: they live in files of their own, readable by their owner only.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import platformdirs
import tomli_w

from lnrecur.bolt12 import Dialect
from lnrecur.errors import UsageError
from lnrecur.ports import PeerAddress
from lnrecur.service.addresses import DEFAULT_PEER_PORT, parse_address
from lnrecur.values import CHAINS, MSAT_PER_SAT, ChainHash, Msat

APP: Final = "lnrecur"
DEFAULT_HTTP_PORT: Final = 9738
_ENVIRONMENT: Final = "LNRECUR_"
_OPENING_SAT: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set. Every field is a key of config.toml and, in capitals behind LNRECUR_, of the environment."""

    chain: str = "regtest"
    """bitcoin, testnet, signet or regtest. Play money is refused on bitcoin."""
    peer_listen: str = f"127.0.0.1:{DEFAULT_PEER_PORT}"
    """Where peers reach us, HOST:PORT; port 0 takes a free one, an empty text listens nowhere."""
    http_listen: str = f"127.0.0.1:{DEFAULT_HTTP_PORT}"
    """Where the command and local applications reach the HTTP API."""
    peers: tuple[str, ...] = ()
    """Peers to stay connected to, ID@HOST:PORT."""
    money_node: str = "playmoney"
    """Which node moves the money; this version has the embedded play-money node only."""
    playmoney_file: str = ""
    """The file all play-money daemons of this machine share; empty for the user's own data folder."""
    playmoney_opening_sat: int = _OPENING_SAT
    """Play money on a new play-money account, in sat."""
    dialect: str = Dialect.DRAFT.value
    """The numbers recurring offers are written with: draft or cln."""
    log_level: str = "warning"
    """debug, info, warning or error; the log goes to standard error."""

    @property
    def chain_hash(self) -> ChainHash:
        """The chain's genesis hash."""
        return CHAINS[self.chain]

    @property
    def opening_balance_msat(self) -> Msat:
        """Play money on a new account."""
        return Msat(self.playmoney_opening_sat * MSAT_PER_SAT)

    @property
    def peer_addresses(self) -> tuple[PeerAddress, ...]:
        """The peers to keep."""
        return tuple(parse_address(text) for text in self.peers)


@dataclass(frozen=True, slots=True)
class Home:
    """Where a daemon's files are."""

    config_dir: Path
    data_dir: Path

    @classmethod
    def find(cls, folder: Path | None = None) -> Home:
        """All files in one folder (--home or LNRECUR_HOME), or under the user's XDG folders."""
        chosen = folder or (Path(told) if (told := os.environ.get(f"{_ENVIRONMENT}HOME")) else None)
        if chosen is not None:
            chosen = chosen.expanduser().absolute()
            return cls(chosen, chosen)
        return cls(platformdirs.user_config_path(APP), platformdirs.user_data_path(APP))

    @property
    def config(self) -> Path:
        """The settings."""
        return self.config_dir / "config.toml"

    @property
    def seed(self) -> Path:
        """The one secret everything else follows from; 64 hexadecimal digits."""
        return self.data_dir / "seed"

    @property
    def token(self) -> Path:
        """What the HTTP API wants to see."""
        return self.data_dir / "http-token"

    @property
    def database(self) -> Path:
        """Offers, subscriptions, events and books."""
        return self.data_dir / "lnrecur.sqlite"

    @property
    def lock(self) -> Path:
        """Held by the running daemon, with its addresses inside."""
        return self.data_dir / "daemon.json"


def load_settings(home: Home, flags: Mapping[str, Any] | None = None) -> Settings:
    """The settings in force. `flags` that are None are not set.

    Raises:
        UsageError: an unknown key or a value that cannot be; names the key and where it comes from.
    """
    values: dict[str, Any] = {}
    for source, told in (
        (str(home.config), _from_file(home.config)),
        ("the environment", _from_environment()),
        ("the command line", {key: value for key, value in (flags or {}).items() if value is not None}),
    ):
        for key, value in told.items():
            values[key] = _checked(key, value, source)
    settings = Settings(**values)
    _check_whole(settings)
    return settings


def write_settings(path: Path, settings: Settings) -> None:
    """Write a config.toml that says what differs from the defaults."""
    default = Settings()
    told: dict[str, Any] = {}
    for field in fields(Settings):
        value = getattr(settings, field.name)
        if value != getattr(default, field.name):
            told[field.name] = list(value) if isinstance(value, tuple) else value
    header = "# lnrecur settings; all keys: https://github.com/lnrecur/lnrecur/blob/main/docs/settings.md\n"
    path.write_text(header + tomli_w.dumps(told))


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def _from_environment() -> dict[str, Any]:
    known = {field.name for field in fields(Settings)}
    found: dict[str, Any] = {}
    for variable, value in os.environ.items():
        key = variable.removeprefix(_ENVIRONMENT).lower()
        if variable.startswith(_ENVIRONMENT) and key in known:
            found[key] = _parsed(key, value)
    return found


def _parsed(key: str, text: str) -> Any:
    default = getattr(Settings(), key)
    if isinstance(default, tuple):
        return [part for part in text.replace(",", " ").split() if part]
    if isinstance(default, int):
        return int(text) if text.isascii() and text.isdigit() else text
    return text


def _checked(key: str, value: Any, source: str) -> Any:
    known = {field.name: getattr(Settings(), field.name) for field in fields(Settings)}
    if key not in known:
        raise UsageError(f"{key} (from {source}) is no setting; there are: {', '.join(sorted(known))}", field=key)
    default = known[key]
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)) or not all(isinstance(part, str) for part in value):
            raise UsageError(f"{key} (from {source}) is a list of texts", field=key)
        return tuple(value)
    if type(value) is not type(default):
        kind = "a whole number" if isinstance(default, int) else "a text"
        raise UsageError(f"{key} (from {source}) is {kind}, not {value!r}", field=key)
    return value


_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "chain": tuple(CHAINS),
    "money_node": ("playmoney",),
    "dialect": tuple(dialect.value for dialect in Dialect),
    "log_level": ("debug", "info", "warning", "error"),
}


def _check_whole(settings: Settings) -> None:
    for key, choices in _CHOICES.items():
        if getattr(settings, key) not in choices:
            raise UsageError(f"{key} is one of {', '.join(choices)}, not {getattr(settings, key)!r}", field=key)
    if settings.chain == "bitcoin" and settings.money_node == "playmoney":
        raise UsageError("play money is not for the bitcoin chain: set chain to regtest", field="chain")
    if settings.playmoney_opening_sat < 0:
        raise UsageError("playmoney_opening_sat is not below 0", field="playmoney_opening_sat")
    for key in ("peer_listen", "http_listen"):
        value = getattr(settings, key)
        if value or key == "http_listen":
            split_listen(value, key)
    for text in settings.peers:
        try:
            parse_address(text)
        except UsageError as error:
            raise UsageError(f"peers: {error}", field="peers") from error


def split_listen(text: str, key: str) -> tuple[str, int]:
    """HOST:PORT of a setting.

    Raises:
        UsageError: not that; names the key.
    """
    host, separator, port = text.rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"{key} is HOST:PORT, not {text!r}", field=key)
    return host.strip("[]"), int(port)
