"""From what lightningd tells in init to the settings of the daemon."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from lnrecur.daemon.config import DEFAULT_HTTP_PORT, Settings
from lnrecur.daemon.files import HomeError, read_seed
from lnrecur.errors import UsageError
from lnrecur.plugin.options import prepare


def init(folder: Path, network: str = "regtest", **options: str) -> dict[str, Any]:
    told = {name.replace("_", "-"): value for name, value in options.items()}
    configuration = {"lightning-dir": str(folder), "rpc-file": "the-socket", "network": network, "startup": True}
    return {"options": told, "configuration": configuration}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "HTTP_LISTEN", "DIALECT", "MESSAGES", "LOG_LEVEL", "CHAIN", "MONEY_NODE"):
        monkeypatch.delenv(f"LNRECUR_{name}", raising=False)


def test_the_node_says_where_and_on_which_network_and_the_rest_has_defaults(tmp_path: Path) -> None:
    made = prepare(init(tmp_path, "signet"))
    settings = made.settings
    assert (settings.chain, settings.money_node, settings.messages) == ("signet", "cln", "plugin")
    assert (settings.dialect, settings.log_level) == ("cln", "info")
    assert made.rpc_file == tmp_path / "the-socket" == Path(settings.cln_rpc_file)
    assert made.home.data_dir == tmp_path / "lnrecur"
    assert made.is_new
    assert len(read_seed(made.home)) == 32
    again = prepare(init(tmp_path, "signet"))
    assert (again.is_new, read_seed(again.home)) == (False, read_seed(made.home))


def test_options_win_over_the_file_which_says_everything_else(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir(mode=0o700)
    (folder / "config.toml").write_text('chain = "bitcoin"\nmoney_node = "lnd"\ndialect = "draft"\nmessage_burst = 2\n')
    settings = prepare(init(tmp_path, lnrecur_dir=str(folder), lnrecur_messages="peer")).settings
    assert (settings.chain, settings.money_node, settings.messages) == ("regtest", "cln", "peer")
    assert (settings.dialect, settings.message_burst) == ("cln", 2)


def test_a_database_whose_seed_is_gone_gets_no_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "lnrecur"
    folder.mkdir(mode=0o700)
    (folder / "lnrecur.sqlite").touch(mode=0o600)
    with pytest.raises(UsageError, match="put the seed back"):
        prepare(init(tmp_path))
    assert [file.name for file in folder.iterdir()] == ["lnrecur.sqlite"]


@pytest.mark.parametrize(("port", "listen"), [("off", ""), ("0", ""), ("OFF ", ""), ("12345", "127.0.0.1:12345")])
def test_the_http_port_is_a_port_or_off(tmp_path: Path, port: str, listen: str) -> None:
    made = prepare(init(tmp_path, lnrecur_http_port=port))
    assert (made.settings.http_listen, made.any_port) == (listen, False)


def test_where_the_usual_port_is_taken_auto_takes_another(tmp_path: Path) -> None:
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(("127.0.0.1", DEFAULT_HTTP_PORT))
        taken.listen()
    except OSError:
        pass  # somebody else has it: as good
    try:
        made = prepare(init(tmp_path, lnrecur_http_port="auto"))
    finally:
        taken.close()
    assert (made.settings.http_listen, made.any_port) == ("127.0.0.1:0", True)
    assert Settings().http_listen == f"127.0.0.1:{DEFAULT_HTTP_PORT}"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, "does not say where its folder is"),
        ({"configuration": {"lightning-dir": 5}}, "does not say where its folder is"),
        (init(Path("/nonexistent"), "liquid"), "does not know the network liquid: it knows bitcoin, testnet"),
        (init(Path("/proc/nothing")), "/proc/nothing"),
    ],
    ids=["nothing", "no folder", "network", "unwritable"],
)
def test_what_the_daemon_could_not_run_with_is_refused(told: dict[str, Any], words: str) -> None:
    with pytest.raises((UsageError, HomeError), match=words):
        prepare(told)


@pytest.mark.parametrize("port", ["65536", "-1", "many", "99999999999", "٣"])
def test_a_port_that_is_none_is_refused(tmp_path: Path, port: str) -> None:
    with pytest.raises(UsageError, match="is a port, auto or off") as refused:
        prepare(init(tmp_path, lnrecur_http_port=port))
    assert refused.value.field == "lnrecur-http-port"
