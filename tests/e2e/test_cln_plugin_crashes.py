"""lightningd and its plugin killed together, again and again, as by power cuts; stand-ins as processes of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyln.client import LightningRpc, RpcError

from helpers.daemons import wait_for
from helpers.stand_in_lightningd import Network, Process, StandIn

pytestmark = pytest.mark.slow
PLUGIN = str(Path(sys.executable).with_name("lnrecur-cln"))
CAPACITY = 10**9
PATIENCE_S = 60


class Node(Process):
    """A stand-in with the plugin, asked as lightning-cli asks."""

    def __init__(self, folder: Path, network: Path) -> None:
        plugged = [f"--plugin={PLUGIN}", "--plugin-option=lnrecur-http-port=off"]
        super().__init__(folder, network, *plugged)

    def ask(self, method: str, *positional: Any, **named: Any) -> dict[str, Any]:
        told: dict[str, Any] = LightningRpc(str(self.rpc_file)).call(method, list(positional) or named)
        return told

    def until(self, subscription: str, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            told = self.ask("recur-subscriptions", subscription)
            return told if true(told) else None

        return wait_for(look, PATIENCE_S, lambda: self.log[-2000:])


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Node, Node, Network]]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    network = Network(tmp_path / "network.sqlite")
    made = [StandIn(tmp_path / name, network.file) for name in ("alice", "shop")]
    network.open_channel(made[0].id, made[1].id, (CAPACITY, CAPACITY))
    for stand_in in made:
        stand_in.network.close()
    alice, shop = Node(tmp_path / "alice", network.file), Node(tmp_path / "shop", network.file)
    for node in (alice, shop):
        node.start()
    yield alice, shop, network
    for node in (alice, shop):
        node.stop()
    assert network.total() == 2 * CAPACITY
    network.close()


def test_both_are_killed_in_the_middle_and_every_period_is_paid_once(nodes: tuple[Node, Node, Network]) -> None:
    alice, shop, network = nodes
    assert shop.ask("recur-offers") == {"offers": []}
    with pytest.raises(RpcError) as refused:
        shop.ask("recur-offer", "ten", "a thing")
    assert refused.value.error["code"] == -32602
    assert refused.value.error["data"]["field"] == "amount"
    made = {"amount": "10sat", "description": "a thing", "every": "2s", "payments": 4, "lenient": True}
    offer = shop.ask("recur-offer", **made)["offer"]
    asked = alice.ask("recur-subscribe", offer=offer, catch_up=True)
    subscription = alice.ask("recur-subscribe", offer=offer, catch_up=True, confirm=asked["confirm"])["id"]
    for paid, killed in enumerate((shop, alice)):
        alice.until(subscription, lambda told, paid=paid: told["payments"] >= paid)
        killed.kill()
        killed.start()
    told = alice.until(subscription, lambda told: told["phase"] == "completed")
    [theirs] = shop.ask("recur-subscriptions", role="payee")["subscriptions"]
    book = shop.ask("recur-subscriptions", theirs["id"])["book"]
    assert [one["counter"] for one in told["book"]] == [one["counter"] for one in book] == [0, 1, 2, 3]
    assert [one["preimage"] for one in told["book"]] == [one["preimage"] for one in book]
    assert theirs["surplus_msat"] == 0
    settled = network.rows("SELECT payment_hash FROM htlcs WHERE state = 'fulfilled'")
    assert sorted(row["payment_hash"] for row in settled) == sorted(one["payment_hash"] for one in book)
