"""Settings: a TOML file under the XDG paths, overridable by `LNRECUR_*` variables and by flags.

Flags win over the environment, the environment over the file, the file over the defaults. Secrets (seed, token) are no
settings: they live in files of their own, readable by their owner only. docs/settings.md is the page about all this.

An unknown key in the file or on the command line is an error. In the environment it is not: container platforms put
variables there on their own, named after services, and LNRECUR_PORT=tcp://... must not keep a daemon from starting.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import platformdirs
import tomli_w

from lnrecur.bolt12 import Dialect
from lnrecur.daemon.message_settings import RANGES, parse_channel, parse_route
from lnrecur.daemon.money_node import LND_HOLD, MONEY_NODES, lnd_access
from lnrecur.daemon.peer_settings import PEER_RANGES, check_peer_settings
from lnrecur.daemon.rate_settings import RATE_RANGES, check_rate_settings, parse_rate
from lnrecur.errors import UsageError
from lnrecur.ports import PeerAddress
from lnrecur.service.addresses import DEFAULT_PEER_PORT, parse_address
from lnrecur.values import CHAINS, MSAT_PER_SAT, ChainHash, Msat

APP: Final = "lnrecur"
DEFAULT_HTTP_PORT: Final = 9738
_ENVIRONMENT: Final = "LNRECUR_"
_OPENING_SAT: Final = 1_000_000
_OPENING_SAT_MAX: Final = 21_000_000 * 100_000_000
_DIGITS_MAX: Final = 20
_LEASE_RANGE: Final = (2, 3600)
_PORT_DIGITS_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set. Every field is a key of config.toml and, in capitals behind LNRECUR_, of the environment."""

    chain: str = "regtest"
    """bitcoin, testnet, signet or regtest. Play money is refused on bitcoin."""
    messages: str = "peer"
    """peer: connections of our own; plugin: those of the Core Lightning node in which lnrecur-cln runs."""
    peer_listen: str = f"127.0.0.1:{DEFAULT_PEER_PORT}"
    """Where we listen for peers, HOST:PORT, or several; port 0 takes a free one, an empty text listens nowhere."""
    peer_address: str = ""
    """Where peers reach us from outside, HOST:PORT, if that is another place: behind a router, or an onion service."""
    http_listen: str = f"127.0.0.1:{DEFAULT_HTTP_PORT}"
    """Where the command and local applications reach the HTTP API; an empty text: nowhere."""
    peers: tuple[str, ...] = ()
    """Peers to stay connected to, ID@HOST:PORT."""
    peers_inbound_max: int = 128
    """Connections from outside at a time."""
    peers_outbound_max: int = 64
    """Connections that we dialled at a time, without those to kept peers."""
    peer_messages_per_second: int = 10
    """Onion messages taken from a peer that dialled us, on average; what is above is dropped."""
    peer_bytes_per_second: int = 256 * 1024
    """Bytes read from such a peer, on average; what is above is read later."""
    socks5_proxy: str = ""
    """A SOCKS5 proxy, HOST:PORT, such as Tor's 127.0.0.1:9050; empty: none."""
    socks5_for: str = "onion"
    """onion: the proxy is for .onion addresses; everything: for all dials."""
    message_burst: int = 4
    """Onion messages that go to one peer at once."""
    message_every_ms: int = 250
    """Milliseconds until one more may go; 0 sends all at once."""
    message_routes: tuple[str, ...] = ()
    """Chains of nodes that pass on onion messages, ID>ID>ID: ways to nodes that are no peers of ours."""
    message_channels: tuple[str, ...] = ()
    """Channels and their ends, BLOCKxTXxOUTPUT=ID>ID, for blinded paths that name nodes by channels."""
    path_dummy_hops: int = 0
    """Hops to ourselves at the end of our own blinded paths."""
    relay: str = "off"
    """on: pass on onion messages of peers to other connected peers."""
    relay_burst: int = 4
    """Onion messages that are passed on for one peer at once."""
    relay_every_ms: int = 250
    """Milliseconds until one more is passed on for it."""
    database: str = ""
    """A PostgreSQL database, postgresql://USER@HOST:PORT/NAME; empty: a SQLite file among the daemon's own."""
    lease_s: int = 20
    """Seconds after which a worker of a shared database that shows no life is taken for dead."""
    money_node: str = "playmoney"
    """Which node moves the money: playmoney (embedded, worth nothing), lnd or cln."""
    cln_rpc_file: str = ""
    """Core Lightning's rpc-file; empty: ~/.lightning/CHAIN/lightning-rpc."""
    lnd_url: str = "https://127.0.0.1:8080"
    """LND's REST API, its restlisten."""
    lnd_macaroon: str = "~/.lnd/lnrecur.macaroon"
    """The macaroon baked for lnrecur."""
    lnd_cert: str = "~/.lnd/tls.cert"
    """LND's own certificate."""
    lnd_hold: str = "on"
    """on: payments are held until they are claimed, so that a wrong one can be returned; off: LND claims by itself."""
    playmoney_file: str = ""
    """The file all play-money daemons of this machine share, with its whole path; empty for the user's data folder."""
    playmoney_opening_sat: int = _OPENING_SAT
    """Play money on a new play-money account, in sat."""
    rates: tuple[str, ...] = ()
    """What a bitcoin costs, CURRENCY=PRICE, for offers and mandates in a currency."""
    rate_source: str = ""
    """Where a price is asked for: coinbase, coingecko, or a URL with {currency}; empty: nowhere."""
    rate_path: str = ""
    """Where in the JSON answer of a URL the price is, such as data.amount."""
    rate_second_source: str = ""
    """Another source, which has to agree with the first."""
    rate_second_path: str = ""
    """Where in its answer the price is."""
    rate_tolerance_percent: int = 2
    """How far apart the two may be."""
    rate_max_age_s: int = 600
    """How old a rate may be that is still used, in seconds."""
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


class ProcessRole(StrEnum):
    """What a process takes on."""

    ALL = "all"
    """Everything."""
    MESSAGING = "messaging"
    """Peers, requests, receipts and the HTTP API; the deeds at the money node are left to workers."""
    WORKER = "worker"
    """Wakes subscriptions and does the deeds at the money node; several may work on one database."""


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
            chosen = Path(os.path.expanduser(chosen)).absolute()  # pathlib's raises for users it does not know
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
    def peers(self) -> Path:
        """The peers that were added while the daemon ran."""
        return self.data_dir / "peers.json"

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
    sources: dict[str, str] = {}
    for source, told in (
        (str(home.config), _from_file(home.config)),
        ("the environment", _from_environment()),
        ("the command line", {key: value for key, value in (flags or {}).items() if value is not None}),
    ):
        for key, value in told.items():
            values[key] = _checked(key, value, source)
            sources[key] = source
    settings = Settings(**values)
    _check_whole(settings, sources)
    return settings


def write_settings(path: Path, settings: Settings) -> None:
    """Write a config.toml that says what differs from the defaults.

    Raises:
        UsageError: the file cannot be written.
    """
    default = Settings()
    told: dict[str, Any] = {}
    for field in fields(Settings):
        value = getattr(settings, field.name)
        if value != getattr(default, field.name):
            told[field.name] = list(value) if isinstance(value, tuple) else value
    text = "# Settings of lnrecur. All keys and their defaults: docs/settings.md\n" + tomli_w.dumps(told)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
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
        return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else text
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
    "money_node": MONEY_NODES,
    "lnd_hold": LND_HOLD,
    "messages": ("peer", "plugin"),
    "relay": ("off", "on"),
    "socks5_for": ("onion", "everything"),
    "dialect": tuple(dialect.value for dialect in Dialect),
    "log_level": ("debug", "info", "warning", "error"),
}


_LISTS: Final[tuple[tuple[str, str, Callable[[str], object]], ...]] = (
    ("peers", "addresses", parse_address),
    ("rates", "rates", parse_rate),
    ("message_routes", "routes", parse_route),
    ("message_channels", "channels", parse_channel),
)


def _check_whole(settings: Settings, sources: Mapping[str, str]) -> None:
    """What a type alone cannot say."""

    def refuse(key: str, told: str) -> UsageError:
        return UsageError(f"{key} (from {sources.get(key, 'the defaults')}) {told}", field=key)

    for key, choices in _CHOICES.items():
        if getattr(settings, key) not in choices:
            raise refuse(key, f"is one of {', '.join(choices)}, not {getattr(settings, key)!r}")
    if settings.chain == "bitcoin" and settings.money_node == "playmoney":
        raise refuse(
            "chain", "is bitcoin, and play money is not for it: set chain to regtest, or money_node to lnd, cln"
        )
    try:
        lnd_access(settings)
    except UsageError as error:
        raise refuse("lnd_url", str(error).removeprefix("lnd_url ")) from error
    if settings.messages == "plugin" and settings.path_dummy_hops:
        raise refuse("path_dummy_hops", "is 0 where messages is plugin: Core Lightning takes no hops to itself")
    if not 0 <= settings.playmoney_opening_sat <= _OPENING_SAT_MAX:
        raise refuse("playmoney_opening_sat", f"is from 0 to {_OPENING_SAT_MAX}, not {settings.playmoney_opening_sat}")
    if settings.playmoney_file and not settings.playmoney_file.startswith(("/", "~")):
        told = f"begins with / or ~, so that all daemons find the same file, unlike {settings.playmoney_file!r}"
        raise refuse("playmoney_file", told)
    for key, values in (
        ("peer_listen", listen_list(settings.peer_listen)),
        ("http_listen", listen_list(settings.http_listen)),
    ):
        for value in values:
            if _host_and_port(value) is None:
                raise refuse(key, f"is HOST:PORT, not {value!r}")
    if settings.database and not settings.database.startswith("postgresql://"):  # not repeated: it may hold a password
        raise refuse("database", "is postgresql://USER@HOST:PORT/NAME, or empty for a file of the daemon's own")
    try:
        check_peer_settings(settings)
        check_rate_settings(settings)
    except UsageError as error:
        raise refuse(error.field or "peers", str(error)) from error
    for key, (least, most) in {**RANGES, **PEER_RANGES, **RATE_RANGES, "lease_s": _LEASE_RANGE}.items():
        if not least <= (value := getattr(settings, key)) <= most:
            raise refuse(key, f"is from {least} to {most}, not {value}")
    for key, what, parse in _LISTS:
        for text in getattr(settings, key):
            try:
                parse(text)
            except UsageError as error:
                raise refuse(key, f"is a list of {what}: {error}") from error


def listen_list(text: str) -> list[str]:
    """The addresses of `peer_listen`, which stand between commas or spaces."""
    return text.replace(",", " ").split()


def split_listen(text: str, key: str) -> tuple[str, int]:
    """HOST:PORT of a setting; an IPv6 address stands in brackets.

    Raises:
        UsageError: not that; names the key.
    """
    found = _host_and_port(text)
    if found is None:
        raise UsageError(f"{key} is HOST:PORT, not {text!r}", field=key)
    return found


def _host_and_port(text: str) -> tuple[str, int] | None:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or len(port) > _PORT_DIGITS_MAX or int(port) > 65535:
        return None
    return host, int(port)
