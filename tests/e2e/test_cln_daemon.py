"""Daemons whose money is moved by stand-ins for lightningd, by the commands of docs/nodes/cln.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.daemons import Daemon, assert_books_agree, lnrecur, wait_for
from helpers.stand_in_lightningd import Network, Process

pytestmark = pytest.mark.slow

SAT = 1000
CHANNEL = (100_000 * SAT, 100_000 * SAT)
PRICE_MSAT = 1_000_123
PRICE = ("--amount", f"{PRICE_MSAT}msat", "--every", "3s", "--pay-before", "2s", "--pay-after", "300s")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    made = Network(tmp_path / "network.sqlite")
    yield made
    made.close()


@pytest.fixture
def nodes(network: Network, tmp_path: Path) -> Iterator[list[Process]]:
    """l1 -- l2 -- l3, where l3 is private."""
    made = [Process(tmp_path / name, network.file) for name in ("l1", "l2", "l3")]
    for node in made:
        node.start()
    l1, l2, l3 = made
    network.open_channel(l1.id, l2.id, CHANNEL)
    network.open_channel(l2.id, l3.id, CHANNEL, announced=False)
    yield made
    for node in made:
        node.stop()


def flags_for(node: Process) -> list[str]:
    return ["--cln", "--rpc-file", str(node.rpc_file)]


def node_of(daemon: Daemon) -> dict[str, Any]:
    told: dict[str, Any] = daemon.info()["money_node"]
    return told


def power_cut(nodes: list[Process], *daemons: Daemon) -> None:
    """For everybody at once, whatever they are doing; and then they are started again."""
    for node in nodes:
        node.kill()
    for daemon in daemons:
        daemon.kill()
    for node in nodes:
        node.start()
    for daemon in daemons:
        daemon.launch()
    for daemon in daemons:
        daemon.wait_until_up()


@pytest.mark.parametrize("payer", [0, 1], ids=["over a forwarder", "from where the path begins"])
def test_periods_are_paid_then_cancelled_and_the_channels_agree_with_the_books(
    payer: int, network: Network, nodes: list[Process], tmp_path: Path
) -> None:
    merchant = Daemon(tmp_path / "merchant", flags_for(nodes[2]))
    alice = Daemon(tmp_path / "alice", flags_for(nodes[payer]))
    before = [network.balance(node.id) for node in nodes]
    try:
        merchant.start()
        alice.start()
        assert node_of(merchant)["kind"] == "Core Lightning v26.06.6"
        assert node_of(merchant)["can_hold"] is False
        offer = merchant.ask("offer", "create", "coffee", *PRICE)["offer"]
        subscription = alice.ask("subscribe", offer, "--yes", "--via", merchant.address)["id"]
        wait_for(
            lambda: True if alice.subscription(subscription)["payments"] >= 1 else None,
            30,
            lambda: f"{alice.subscription(subscription)}\n{merchant.log[-2000:]}",
        )
        if payer == 0:
            power_cut(nodes, merchant, alice)
            paid_before = alice.subscription(subscription)["payments"]
            wait_for(
                lambda: True if alice.subscription(subscription)["payments"] > paid_before else None,
                30,
                lambda: f"{alice.subscription(subscription)}\n{alice.log[-3000:]}",
            )
        alice.ask("subscriptions", "cancel", subscription)
        ended = alice.wait_for_phase(subscription, "cancelled", 60)
        paid, fees = ended["payments"], ended["fees_msat"]
        assert_books_agree(merchant, alice, subscription, paid)
        moved = [network.balance(node.id) - was for node, was in zip(nodes, before, strict=True)]
        assert moved[2] == paid * PRICE_MSAT
        assert moved[payer] == -(paid * PRICE_MSAT + fees)
        assert sum(moved) == 0
        assert (fees > 0) == (payer == 0), "who forwards to a neighbour pays nobody for it"
        for daemon in (merchant, alice):
            assert "Traceback" not in daemon.log
    finally:
        for daemon in (merchant, alice):
            daemon.kill()


def test_a_daemon_whose_lightningd_is_away_starts_and_goes_on_once_it_is_there(
    network: Network, tmp_path: Path
) -> None:
    node = Process(tmp_path / "l1", network.file)
    daemon = Daemon(tmp_path / "shop", [*flags_for(node), "--chain", "regtest"])
    try:
        daemon.start()
        assert "NO MONEY MOVES YET: there is no " in daemon.log
        assert "lightningd does not run, or has another rpc-file" in node_of(daemon)["problem"]
        looked = lnrecur("doctor", "--home", daemon.folder, "--json")
        assert looked.returncode == 1
        [broken] = [one for one in json.loads(looked.stdout)["findings"] if one["health"] == "broken"]
        assert "see that cln_rpc_file names its rpc-file" in broken["way_out"]
        node.start()
        network.open_channel(node.id, "02" + "11" * 32, CHANNEL)
        answer = wait_for(lambda: node_of(daemon) if node_of(daemon)["kind"] else None, 40, lambda: daemon.log)
        assert (answer["kind"], answer["node_id"], answer["problem"]) == ("Core Lightning v26.06.6", node.id, None)
        events = [one["name"] for one in daemon.look("/v1/events")["events"]]
        assert "node.unavailable" in events
        assert daemon.terminate()[0] == 0
        assert "Traceback" not in daemon.log
    finally:
        daemon.kill()
        node.stop()


def test_a_daemon_does_not_start_on_a_lightningd_of_another_chain(nodes: list[Process], tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "shop", [*flags_for(nodes[0]), "--chain", "signet"])
    started = lnrecur("run", "--home", daemon.folder)
    assert started.returncode == 2
    assert "Core Lightning is on regtest, and chain of the settings is signet" in started.stderr


def test_init_asks_lightningd_for_its_chain(nodes: list[Process], tmp_path: Path) -> None:
    made = lnrecur("init", "--home", tmp_path / "shop", *flags_for(nodes[0]))
    assert made.returncode == 0, made.stderr
    assert f"money     Core Lightning v26.06.6 ({nodes[0].id}) on regtest" in made.stdout
