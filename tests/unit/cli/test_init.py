"""lnrecur init: an identity where there is none, and nothing where there is one."""

import json
import stat
from pathlib import Path

import pytest

from helpers.cli_daemon import run
from lnrecur.daemon.config import Home, Settings, load_settings
from lnrecur.daemon.files import read_seed, read_token
from lnrecur.service.keyring import Keyring


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_makes_an_identity_and_tells_where_everything_is(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    result = run("init", home=folder)
    home = Home.find(folder)
    node_id = Keyring.derive(read_seed(home)).node_id.hex()
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"node id   {node_id}",
        f"settings  {home.config}",
        f"seed      {home.seed}  (the one secret: back it up, show it to nobody)",
        "money     PLAY MONEY, worth nothing: for trying things out",
        "Start the daemon with `lnrecur run`.",
    ]
    assert read_seed(home).hex() not in result.output
    assert read_token(home) not in result.output
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert load_settings(home) == Settings()


def test_with_json_it_tells_the_same(tmp_path: Path) -> None:
    told = json.loads(run("init", "--json", home=tmp_path).stdout)
    assert told == {
        "node_id": Keyring.derive(read_seed(Home.find(tmp_path))).node_id.hex(),
        "config": str(tmp_path / "config.toml"),
        "seed": str(tmp_path / "seed"),
        "token": str(tmp_path / "http-token"),
    }


def test_its_options_become_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ("--chain", "signet", "--peer-listen", "127.0.0.1:1", "--http-listen", "127.0.0.1:2")
    assert run("init", *flags, "--playmoney-file", "bank.sqlite", home=tmp_path / "home").exit_code == 0
    assert load_settings(Home.find(tmp_path / "home")) == Settings(
        chain="signet",
        peer_listen="127.0.0.1:1",
        http_listen="127.0.0.1:2",
        playmoney_file=str(tmp_path / "bank.sqlite"),
    )


def test_what_the_environment_says_for_now_is_not_written_down(tmp_path: Path) -> None:
    assert run("init", home=tmp_path, LNRECUR_LOG_LEVEL="debug").exit_code == 0
    assert load_settings(Home.find(tmp_path)) == Settings()


def test_the_environment_names_the_home(tmp_path: Path) -> None:
    assert run("init", LNRECUR_HOME=str(tmp_path / "there")).exit_code == 0
    assert (tmp_path / "there" / "seed").exists()


def test_a_second_time_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    run("init", home=tmp_path)
    before = contents(tmp_path)
    for flags in ((), ("--chain", "signet")):
        result = run("init", *flags, home=tmp_path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "exists already" in result.stderr
        assert result.stderr.count("\n") == 1
    assert contents(tmp_path) == before


def test_settings_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('# mine\nlog_level = "info"\n')
    assert run("init", home=tmp_path).exit_code == 0
    assert (tmp_path / "config.toml").read_text() == '# mine\nlog_level = "info"\n'


def test_options_that_would_be_lost_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    result = run("init", "--http-listen", "127.0.0.1:5", home=tmp_path)
    assert result.exit_code == 2
    assert "config.toml exists already: change it there" in result.stderr
    assert sorted(contents(tmp_path)) == ["config.toml"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--chain", "bitcoin"), "play money is not for it"),
        (("--chain", "litecoin"), "'litecoin' is not one of"),
        (("--http-listen", "here"), "http_listen (from the command line) is HOST:PORT, not 'here'"),
        (("--peer", "alice"), "peers (from the command line)"),
    ],
)
def test_a_wrong_option_is_one_line_and_nothing_is_made(tmp_path: Path, flags: tuple[str, ...], told: str) -> None:
    result = run("init", *flags, home=tmp_path)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert told in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("init", LNRECUR_HOME=str(tmp_path / "file" / "home"))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "Not a directory" in result.stderr


def test_run_without_init_names_the_way_out(tmp_path: Path) -> None:
    result = run("run", home=tmp_path)
    assert (result.exit_code, result.stderr) == (
        1,
        f"lnrecur: {tmp_path / 'seed'} is missing: run `lnrecur init` first\n",
    )
