"""lnrecur doctor: what it looks at, in words and in JSON, with a daemon and without."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.cli_daemon import Commands, commands, run
from helpers.lnd_stand_in import LOCKED, StandIn
from lnrecur.daemon.doctor import finding_of, shape_of
from lnrecur.ports import Finding, Health


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("doctor")) as running:
        yield running


def test_a_running_daemon_looks_at_itself(daemon: Commands) -> None:
    told = daemon.ask("doctor")["findings"]
    assert [(one["subject"], one["health"]) for one in told] == [
        ("daemon", "good"),
        ("money node", "warning"),
        ("database", "good"),
        ("peers", "warning"),
        ("disk", "good"),
    ]
    assert told[1]["told"] == "PLAY MONEY, worth nothing"
    assert told[0]["way_out"] is None


def test_in_words_what_to_do_stands_below_what_was_seen(daemon: Commands) -> None:
    result = daemon.run("doctor")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0].split(maxsplit=2)[:2] == ["ok", "daemon"]
    at = next(index for index, line in enumerate(lines) if line.startswith("warning peers"))
    assert "lnrecur peers add" in lines[at + 1]


def test_without_a_home_it_says_how_to_make_one(tmp_path: Path) -> None:
    result = run("doctor", home=tmp_path / "none")
    assert result.exit_code == 1
    assert "lnrecur init" in result.stderr


def test_without_a_daemon_it_looks_from_outside(tmp_path: Path) -> None:
    assert run("init", home=tmp_path).exit_code == 0
    result = run("doctor", home=tmp_path)
    assert result.exit_code == 0
    assert "no daemon runs" in result.stdout
    assert "will be made by the first" in result.stdout
    with sqlite3.connect(tmp_path / "lnrecur.sqlite") as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    assert "is sound" in run("doctor", home=tmp_path).stdout
    (tmp_path / "lnrecur.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 20)
    broken = run("doctor", "--json", home=tmp_path)
    assert broken.exit_code == 1
    [finding] = [one for one in json.loads(broken.stdout)["findings"] if one["subject"] == "database"]
    assert (finding["health"], finding["way_out"]) == ("broken", "put a backup in its place")


def test_an_lnd_that_is_locked_is_broken_and_the_way_out_is_told(tmp_path: Path) -> None:
    lnd = StandIn(tmp_path / "lnd")
    try:
        lnd.answers["GET /v1/getinfo"] = LOCKED
        access = lnd.access
        flags = ("--lnd", access.url, "--lnd-macaroon", str(access.macaroon), "--lnd-cert", str(access.certificate))
        assert run("init", *flags, "--chain", "regtest", home=tmp_path / "home").exit_code == 0
        result = run("doctor", home=tmp_path / "home")
    finally:
        lnd.close()
    assert result.exit_code == 1
    [line] = [line for line in result.stdout.splitlines() if line.startswith("BROKEN")]
    assert "wallet locked" in line
    assert "lncli unlock" in result.stdout


@pytest.mark.parametrize("way_out", ["", "do this"])
def test_a_finding_is_read_as_it_was_written(way_out: str) -> None:
    finding = Finding("clock", Health.BROKEN, "40 seconds behind", way_out)
    assert finding_of(json.loads(json.dumps(shape_of(finding)))) == finding
