"""Settings about the node that moves the money, and what the documentation says about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.cli_daemon import run
from lnrecur.adapters.nodes.lnd.permissions import bake_command
from lnrecur.daemon.config import Home, Settings, load_settings
from lnrecur.daemon.money_node import cln_rpc_file, lnd_access
from lnrecur.errors import UsageError

PAGE = Path(__file__).parents[3] / "docs" / "nodes" / "lnd.md"


def test_lnd_is_asked_where_its_own_defaults_are() -> None:
    access = lnd_access(Settings(money_node="lnd"))
    assert access.url == "https://127.0.0.1:8080"
    assert access.certificate == Path.home() / ".lnd" / "tls.cert"
    assert access.macaroon == Path.home() / ".lnd" / "lnrecur.macaroon"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "http://127.0.0.1:8080",
        "https://",
        "https://h:0",
        "https://h:99999",
        "https://h/x",
        "https://h?x",
    ],
)
def test_an_url_that_is_none_is_refused_with_its_source(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"lnd_url \(from the command line\) is https://HOST:PORT") as refused:
        load_settings(Home.find(tmp_path), {"lnd_url": url})
    assert refused.value.field == "lnd_url"


def test_play_money_is_refused_on_bitcoin_and_lnd_is_not(tmp_path: Path) -> None:
    home = Home.find(tmp_path)
    assert load_settings(home, {"chain": "bitcoin", "money_node": "lnd"}).chain == "bitcoin"
    with pytest.raises(UsageError, match="money_node to lnd"):
        load_settings(home, {"chain": "bitcoin"})
    with pytest.raises(UsageError, match=r"lnd_hold .* is one of on, off"):
        load_settings(home, {"lnd_hold": "maybe"})


def test_init_with_an_lnd_that_does_not_answer_wants_the_chain_and_makes_nothing_until_then(tmp_path: Path) -> None:
    (tmp_path / "tls.cert").write_bytes(b"no certificate")
    flags = ("--lnd", "https://127.0.0.1:1", "--lnd-cert", str(tmp_path / "tls.cert"))
    refused = run("init", *flags, home=tmp_path / "home")
    assert refused.exit_code == 2
    assert "is no certificate" in refused.stderr
    assert "or say --chain" in refused.stderr
    assert not (tmp_path / "home").exists()
    made = run("init", *flags, "--chain", "signet", home=tmp_path / "home")
    assert made.exit_code == 0, made.stderr
    assert "money     " in made.stdout
    assert "PLAY MONEY" not in made.stdout
    assert load_settings(Home.find(tmp_path / "home")) == Settings(
        chain="signet", money_node="lnd", lnd_url="https://127.0.0.1:1", lnd_cert=str(tmp_path / "tls.cert")
    )


def test_core_lightning_is_asked_where_its_own_defaults_are() -> None:
    assert cln_rpc_file(Settings(chain="signet")) == Path.home() / ".lightning" / "signet" / "lightning-rpc"
    assert cln_rpc_file(Settings(cln_rpc_file="~/elsewhere")) == Path.home() / "elsewhere"


def test_init_finds_the_one_lightningd_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    none = run("init", "--cln", home=tmp_path / "home")
    assert none.exit_code == 2
    assert f"which lightning-rpc? none under {tmp_path / '.lightning'}, or name it with --rpc-file" in none.stderr
    for chain in ("signet", "bitcoin"):
        (tmp_path / ".lightning" / chain).mkdir(parents=True)
    (tmp_path / ".lightning" / "signet" / "lightning-rpc").touch()
    made = run("init", "--cln", home=tmp_path / "home")
    assert made.exit_code == 0, made.stderr
    assert "nobody listens at" in made.stdout
    assert load_settings(Home.find(tmp_path / "home")) == Settings(chain="signet", money_node="cln")
    (tmp_path / ".lightning" / "bitcoin" / "lightning-rpc").touch()
    several = run("init", "--cln", home=tmp_path / "other")
    assert "there are several" in several.stderr
    assert run("init", "--cln", "--chain", "bitcoin", home=tmp_path / "other").exit_code == 0


def test_init_with_a_socket_that_does_not_answer_wants_the_chain(tmp_path: Path) -> None:
    refused = run("init", "--rpc-file", str(tmp_path / "lightning-rpc"), home=tmp_path / "home")
    assert refused.exit_code == 2
    assert "start it, or say --chain" in refused.stderr
    assert not (tmp_path / "home").exists()


def test_one_node_moves_the_money(tmp_path: Path) -> None:
    refused = run("init", "--lnd", "https://127.0.0.1:1", "--cln", home=tmp_path / "home")
    assert "say --lnd or --cln" in refused.stderr


def test_the_page_shows_the_command_that_bakes_the_macaroon() -> None:
    assert bake_command("~/.lnd/lnrecur.macaroon") in PAGE.read_text()
