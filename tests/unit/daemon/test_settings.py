"""Settings: which source wins, what is refused and how it is told, and the page that lists them."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.adapters.link import LinkSettings, ProxySettings
from lnrecur.crypto.keys import PrivateKey
from lnrecur.daemon.config import Home, Settings, listen_list, load_settings, split_listen, write_settings
from lnrecur.daemon.message_settings import message_router, message_settings
from lnrecur.daemon.peer_settings import link_settings
from lnrecur.daemon.rate_settings import rate_source
from lnrecur.errors import UsageError
from lnrecur.messaging.pacing import Pace
from lnrecur.messaging.peer import PeerSettings
from lnrecur.messaging.relay import RelayLimits
from lnrecur.messaging.token_bucket import Rate
from lnrecur.ports import RateUnavailable
from lnrecur.service.courier import MessageSettings
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST, Msat, NodeId, ShortChannelId

PEER = f"{PrivateKey(bytes([9]) * 32).point.hex()}@127.0.0.1:9737"
ID, ID2 = (PrivateKey(bytes([number]) * 32).point.hex() for number in (8, 9))
PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", *(field.name.upper() for field in fields(Settings))):
        monkeypatch.delenv(f"LNRECUR_{name}", raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.find(tmp_path)


def test_without_anything_said_the_defaults_hold(home: Home) -> None:
    settings = load_settings(home)
    assert settings == Settings()
    assert settings.chain_hash == REGTEST
    assert settings.opening_balance_msat == Msat(1_000_000_000)


def test_flags_win_over_the_environment_over_the_file_over_the_defaults(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.config.write_text('log_level = "error"\nchain = "signet"\nhttp_listen = "127.0.0.1:1"\n')
    monkeypatch.setenv("LNRECUR_LOG_LEVEL", "info")
    monkeypatch.setenv("LNRECUR_HTTP_LISTEN", "127.0.0.1:2")
    settings = load_settings(home, {"http_listen": "127.0.0.1:3", "peer_listen": None})
    assert settings == Settings(chain="signet", log_level="info", http_listen="127.0.0.1:3")


@pytest.mark.parametrize("text", [f"{PEER},{PEER}", f"{PEER} {PEER}", f" {PEER} ,\n{PEER}"])
def test_lists_in_the_environment_stand_between_commas_or_spaces(
    home: Home, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("LNRECUR_PEERS", text)
    monkeypatch.setenv("LNRECUR_PLAYMONEY_OPENING_SAT", "5")
    settings = load_settings(home)
    assert (settings.peers, settings.playmoney_opening_sat) == ((PEER, PEER), 5)
    assert [str(address) for address in settings.peer_addresses] == [PEER, PEER]


def test_variables_that_are_no_settings_are_left_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNRECUR_PORT", "tcp://10.0.0.1:9738")
    assert load_settings(home) == Settings()


WRONG: list[tuple[str, Any, str]] = [
    ("chian", "regtest", "is no setting; there are: chain,"),
    ("chain", "litecoin", "is one of bitcoin, testnet, signet, regtest, not 'litecoin'"),
    ("chain", "bitcoin", "play money is not for it"),
    ("chain", 5, "is a text, not 5"),
    ("money_node", "ldk", "is one of playmoney"),
    ("dialect", "ldk", "is one of draft, cln"),
    ("log_level", "loud", "is one of debug"),
    ("playmoney_opening_sat", -1, "is from 0 to 2100000000000000, not -1"),
    ("playmoney_opening_sat", 10**30, "is from 0 to"),
    ("playmoney_opening_sat", True, "is a whole number, not True"),
    ("playmoney_opening_sat", 1.5, "is a whole number, not 1.5"),
    ("playmoney_file", "money.sqlite", "begins with / or ~"),
    ("messages", "carrier pigeon", "is one of peer, plugin"),
    ("http_listen", "localhost", "is HOST:PORT"),
    ("http_listen", ":9738", "is HOST:PORT"),
    ("http_listen", "127.0.0.1:65536", "is HOST:PORT"),
    ("peer_listen", "127.0.0.1:x", "is HOST:PORT"),
    ("peer_listen", "127.0.0.1:" + "1" * 5000, "is HOST:PORT"),
    ("peers", PEER, "is a list of texts"),
    ("peers", [1], "is a list of texts"),
    ("peers", ["alice"], "write ID@HOST:PORT"),
    ("peer_listen", "127.0.0.1:1, nowhere", "is HOST:PORT, not 'nowhere'"),
    ("peer_address", "::1:x", "is HOST:PORT"),
    ("peer_address", "short.onion:1", "56 characters"),
    ("socks5_proxy", "127.0.0.1:0", "a port is a number from 1 to 65535"),
    ("socks5_for", "tor", "is one of onion, everything"),
    ("socks5_for", "everything", "set socks5_proxy too"),
    ("peers_inbound_max", -1, "is from 0 to 10000"),
    ("peers_outbound_max", 0, "is from 1 to 10000"),
    ("peer_messages_per_second", 0, "is from 1 to"),
    ("peer_bytes_per_second", 8191, "is from 8192 to"),
    ("relay", "yes", "is one of off, on"),
    ("rates", ["EUR"], "is not CURRENCY=PRICE"),
    ("rates", ["eur=5"], "is not CURRENCY=PRICE"),
    ("rates", ["EUR=5,5"], "is not CURRENCY=PRICE"),
    ("rates", ["EUR=0.004"], "a bitcoin cannot cost 0"),
    ("rate_source", "a friend", "is coinbase, coingecko, or a URL"),
    ("rate_source", "https://x.example/rates", "where the code belongs"),
    ("rate_source", "https://[::1/{currency}", "is no URL"),
    ("rate_source", "https://x.example:99999/{currency}", "is no URL"),
    ("rate_path", "data.amount", "set rate_source"),
    ("rate_second_source", "coinbase", "set rate_source"),
    ("rate_tolerance_percent", 101, "is from 0 to 100"),
    ("rate_max_age_s", 0, "is from 1 to 86400"),
    ("relay_every_ms", 0, "is from 1 to 3600000, not 0"),
    ("message_burst", 0, "is from 1 to 10000, not 0"),
    ("message_every_ms", -1, "is from 0 to"),
    ("path_dummy_hops", 11, "is from 0 to 10, not 11"),
    ("message_routes", [ID], "write ID>ID"),
    ("message_routes", [f"{ID}>{ID}"], "two or more different nodes"),
    ("message_routes", [f"{ID}>alice"], "'alice' is no node id"),
    ("message_channels", [f"1x2={ID}>{ID2}"], "write BLOCKxTXxOUTPUT=ID>ID"),
    ("message_channels", [f"1x2x3={ID}>{ID}"], "write BLOCKxTXxOUTPUT=ID>ID"),
    ("message_channels", [f"99999999x2x3={ID}>{ID2}"], "too large"),
]


@pytest.mark.parametrize(("key", "value", "told"), WRONG)
def test_a_wrong_value_names_its_key_and_where_it_comes_from(home: Home, key: str, value: Any, told: str) -> None:
    with pytest.raises(UsageError) as raised:
        load_settings(home, {key: value})
    assert str(raised.value).startswith(f"{key} (from the command line) ")
    assert told in str(raised.value)
    assert raised.value.field == key


def test_the_settings_about_messages_become_what_the_service_takes() -> None:
    default = message_settings(Settings())
    assert default == MessageSettings(pace=Pace(4, 0.25), relay=None, dummy_hops=0)
    told = message_settings(Settings(message_every_ms=0, relay="on", relay_burst=7, relay_every_ms=100))
    assert told == MessageSettings(pace=None, relay=RelayLimits(7, 0.1), dummy_hops=0)


def test_routes_and_channels_of_the_settings_are_known_to_the_router() -> None:
    one, two = bytes.fromhex(ID), bytes.fromhex(ID2)
    told = Settings(message_routes=(f"{ID} > {ID2}",), message_channels=(f"103x2x1={ID2}>{ID}",), peers=(PEER,))
    router = message_router(told)
    assert router.route(NodeId(two), frozenset({NodeId(one)})) == [one, two]
    assert router.channel_ends(ShortChannelId(103 << 40 | 2 << 16 | 1)) == tuple(sorted((one, two)))
    assert str(router.address(NodeId(bytes.fromhex(PEER[:66])))) == PEER


def test_a_url_needs_the_place_of_its_price(home: Home) -> None:
    with pytest.raises(UsageError, match=r"rate_path \(from the defaults\) is missing") as raised:
        load_settings(home, {"rate_source": "https://x.example/{currency}"})
    assert raised.value.field == "rate_path"


async def test_rates_set_by_hand_come_before_those_that_are_asked_for() -> None:
    clock = VirtualClock(1_800_000_000)
    assert rate_source(Settings(), clock) is None
    nowhere = {"rate_source": "http://127.0.0.1:1/{currency}", "rate_path": "x"}
    for settings in (Settings(rates=("EUR=5.01",)), Settings(rates=("EUR=5.01",), **nowhere)):  # type: ignore[arg-type]
        rates = rate_source(settings, clock)
        assert rates is not None
        assert (await rates.rate("EUR")).minor_per_btc == 501
        with pytest.raises(RateUnavailable, match="no rate for USD"):
            await rates.rate("USD")


async def test_a_second_source_must_agree() -> None:
    settings = Settings(
        rate_source="http://127.0.0.1:1/{currency}", rate_path="x", rate_second_source="http://127.0.0.1:2/{currency}",
        rate_second_path="x",
    )  # fmt: skip
    rates = rate_source(settings, VirtualClock(1_800_000_000))
    assert rates is not None
    with pytest.raises(RateUnavailable):
        await rates.rate("EUR")


def test_the_settings_about_peers_become_what_the_link_takes() -> None:
    default = link_settings(Settings())
    assert default == LinkSettings(PeerSettings(REGTEST))
    told = Settings(
        peers_inbound_max=7,
        peers_outbound_max=3,
        peer_messages_per_second=2,
        peer_bytes_per_second=10_000,
        socks5_proxy="[::1]:9050",
        socks5_for="everything",
    )
    asked = link_settings(told)
    assert (asked.inbound_max, asked.outbound_max) == (7, 3)
    assert asked.from_strangers.onion_messages == Rate(2, 20)
    assert asked.from_strangers.read == Rate(10_000, 40_000)
    assert asked.proxy == ProxySettings("::1", 9050, everything=True)
    proxy = link_settings(Settings(socks5_proxy="tor.example:9050")).proxy
    assert proxy == ProxySettings("tor.example", 9050, everything=False)


def test_several_addresses_to_listen_at_stand_between_commas_or_spaces() -> None:
    assert listen_list("0.0.0.0:9737, [::]:9737") == ["0.0.0.0:9737", "[::]:9737"]
    assert listen_list("") == []


def test_a_wrong_value_in_the_file_names_the_file(home: Home) -> None:
    home.config.write_text('peer_listen = "nowhere"\n')
    with pytest.raises(UsageError, match="is HOST:PORT, not 'nowhere'") as raised:
        load_settings(home)
    assert str(raised.value).startswith(f"peer_listen (from {home.config}) ")


@pytest.mark.parametrize("text", ["many", "", "1.5", "-5", "9" * 5000])
def test_a_wrong_number_in_the_environment_names_it(home: Home, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("LNRECUR_PLAYMONEY_OPENING_SAT", text)
    with pytest.raises(UsageError, match=r"^playmoney_opening_sat \(from the environment\) is a whole number"):
        load_settings(home)


@pytest.mark.parametrize("data", [b"chain = ", b"\xff\xfe", b"chain regtest", b'chain = "regtest"\nchain = "signet"'])
def test_a_file_that_is_no_toml_is_named(home: Home, data: bytes) -> None:
    home.config.write_bytes(data)
    with pytest.raises(UsageError, match="cannot be read") as raised:
        load_settings(home)
    assert str(home.config) in str(raised.value)


def test_a_folder_in_place_of_the_file_is_named(home: Home) -> None:
    home.config.mkdir()
    with pytest.raises(UsageError, match=r"config\.toml cannot be read"):
        load_settings(home)
    with pytest.raises(UsageError, match=r"config\.toml cannot be written"):
        write_settings(home.config, Settings())


LISTEN = st.sampled_from(["127.0.0.1:0", "localhost:80", "[::1]:9737", "0.0.0.0:65535"])
SETTINGS = st.builds(
    Settings,
    chain=st.sampled_from(["testnet", "signet", "regtest"]),
    peer_listen=LISTEN | st.just(""),
    peer_address=st.sampled_from(["", "node.example:9737"]),
    socks5_proxy=st.sampled_from(["", "127.0.0.1:9050"]),
    peers_inbound_max=st.integers(0, 10_000),
    http_listen=LISTEN,
    peers=st.lists(st.just(PEER), max_size=3).map(tuple),
    playmoney_file=st.just("") | st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(lambda t: "/" + t),
    playmoney_opening_sat=st.integers(0, 21_000_000 * 10**8),
    dialect=st.sampled_from(["draft", "cln"]),
    message_routes=st.lists(st.just(f"{ID}>{ID2}"), max_size=2).map(tuple),
    message_channels=st.lists(st.just(f"103x2x1={ID}>{ID2}"), max_size=2).map(tuple),
    message_every_ms=st.integers(0, 1000),
    relay=st.sampled_from(["off", "on"]),
    log_level=st.sampled_from(["debug", "info", "warning", "error"]),
)


@given(settings=SETTINGS)
def test_what_is_written_is_what_is_read(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = Home.find(tmp_path_factory.getbasetemp())
    write_settings(home.config, settings)
    assert load_settings(home) == settings


def test_only_what_differs_from_the_defaults_is_written(home: Home) -> None:
    write_settings(home.config, Settings(log_level="info"))
    assert home.config.read_text().splitlines()[1:] == ['log_level = "info"']


def test_the_home_is_the_one_told_or_that_of_the_environment_or_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    assert (Home.find().config_dir, Home.find().data_dir) == (
        platformdirs.user_config_path("lnrecur"),
        platformdirs.user_data_path("lnrecur"),
    )
    assert Home.find().data_dir == tmp_path / "d" / "lnrecur"
    monkeypatch.setenv("LNRECUR_HOME", str(tmp_path / "e"))
    assert Home.find() == Home(tmp_path / "e", tmp_path / "e")
    assert Home.find(tmp_path / "f") == Home(tmp_path / "f", tmp_path / "f")
    monkeypatch.setenv("LNRECUR_HOME", "~no-such-user-here/x")
    assert Home.find().data_dir.is_absolute()


@pytest.mark.parametrize(
    ("text", "found"), [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:9737", ("::1", 9737)), ("a.b:65535", ("a.b", 65535))]
)
def test_a_listening_address_is_host_and_port(text: str, found: tuple[str, int]) -> None:
    assert split_listen(text, "peer_listen") == found


def test_the_page_lists_every_setting_with_its_default() -> None:
    table = PAGE.read_text().partition("\n## ")[0]
    rows = {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("| `")}
    assert set(rows) == {f"`{field.name}`" for field in fields(Settings)}
    for field in fields(Settings):
        default = getattr(Settings(), field.name)
        told = "none" if default == () else f"`{default}`" if default != "" else "empty"
        assert rows[f"`{field.name}`"].split("|")[2].strip() == told, field.name
        assert f"`LNRECUR_{field.name.upper()}`" in rows[f"`{field.name}`"]
