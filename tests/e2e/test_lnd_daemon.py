"""A daemon whose LND is in trouble when it starts: it runs, says so, and goes on once LND answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.daemons import Daemon, lnrecur, wait_for
from helpers.lnd_stand_in import INFO, LOCKED, NODE_ID, StandIn

pytestmark = pytest.mark.slow


@pytest.fixture
def lnd(tmp_path: Path) -> Iterator[StandIn]:
    stand_in = StandIn(tmp_path / "lnd")
    yield stand_in
    stand_in.close()


def flags_for(lnd: StandIn) -> list[str]:
    access = lnd.access
    return ["--lnd", access.url, "--lnd-macaroon", str(access.macaroon), "--lnd-cert", str(access.certificate)]


def node_of(daemon: Daemon) -> dict[str, Any]:
    told: dict[str, Any] = daemon._client.get("/v1/info")["money_node"]
    return told


def node_events(daemon: Daemon) -> list[tuple[str, str]]:
    told = daemon._client.get("/v1/events", limit=1000)["events"]
    return [
        (event["name"], event["data"].get("trouble") or event["data"]["was"])
        for event in told
        if event["object"]["type"] == "node"
    ]


def test_a_daemon_whose_lnd_is_locked_starts_and_goes_on_once_it_is_unlocked(lnd: StandIn, tmp_path: Path) -> None:
    lnd.answers["GET /v1/getinfo"] = LOCKED
    daemon = Daemon(tmp_path / "shop", [*flags_for(lnd), "--chain", "regtest"])
    try:
        daemon.start()
        assert "NO MONEY MOVES YET" in daemon.log
        assert "wallet locked" in node_of(daemon)["problem"]
        looked = lnrecur("doctor", "--home", daemon.folder, "--json")
        assert looked.returncode == 1
        findings = json.loads(looked.stdout)["findings"]
        [broken] = [one for one in findings if one["health"] == "broken"]
        assert "lncli unlock" in broken["way_out"]
        [outage] = [one for one in findings if one["subject"] == "outage"]
        assert outage["told"].startswith("locked for ")
        assert "asked again in" in outage["way_out"]
        lnd.answers["GET /v1/getinfo"] = (200, INFO)
        lnd.answers["GET /v1/invoices"] = (200, {"invoices": [], "last_index_offset": "0"})
        answer = wait_for(lambda: node_of(daemon) if node_of(daemon)["kind"] else None, 10, lambda: daemon.log)
        assert answer == {
            "kind": "LND 0.21.2-beta", "node_id": NODE_ID, "play_money": False, "can_hold": True, "problem": None,
        }  # fmt: skip
        wait_for(lambda: "GET /v1/invoices" in dict(lnd.asked) or None, 15, lambda: daemon.log)
        wait_for(lambda: len(node_events(daemon)) > 1 or None, 15, lambda: daemon.log)
        assert node_events(daemon) == [("node.unavailable", "locked"), ("node.available", "locked")]
        shown = lnrecur("events", "--home", daemon.folder).stdout
        assert "node.unavailable" in shown
        assert "trouble" in shown
        assert daemon.terminate()[0] == 0
        assert "Traceback" not in daemon.log
    finally:
        daemon.kill()


def test_a_daemon_does_not_start_on_an_lnd_of_another_chain(lnd: StandIn, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "shop", [*flags_for(lnd), "--chain", "signet"])
    started = lnrecur("run", "--home", daemon.folder)
    assert started.returncode == 2
    assert "LND is on regtest, and chain of the settings is signet: set chain to that of the node" in started.stderr


def test_init_asks_lnd_for_its_chain(lnd: StandIn, tmp_path: Path) -> None:
    lnd.answers["GET /v1/getinfo"] = (200, {**INFO, "chains": [{"chain": "bitcoin", "network": "mainnet"}]})
    made = lnrecur("init", "--home", tmp_path / "shop", *flags_for(lnd))
    assert made.returncode == 0, made.stderr
    assert f"money     LND 0.21.2-beta ({NODE_ID}) on bitcoin" in made.stdout
    assert 'chain = "bitcoin"' in (tmp_path / "shop" / "config.toml").read_text()
