"""lnrecur-cln as lightningd runs it: the installed executable, its stdin and stdout, and stand-ins for lightningd."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.daemons import CLEAN, LNRECUR
from helpers.stand_in_lightningd import Network, StandIn
from helpers.stand_in_lightningd.framing import RpcError
from helpers.stand_in_lightningd.onions import Onions
from helpers.stand_in_lightningd.plugins import Plugin, PluginHost
from lnrecur.crypto.keys import PrivateKey
from lnrecur.daemon.config import Home
from lnrecur.daemon.files import create_home
from lnrecur.messaging.messenger import ContentsKind, DirectDestination, MessageContents, Messenger
from lnrecur.plugin.catalogue import COMMANDS, manifest
from lnrecur.values import NodeId

pytestmark = pytest.mark.slow
PLUGIN = str(Path(sys.executable).with_name("lnrecur-cln"))
PATIENCE_S = 40
CAPACITY = 10**9
ENTROPY = bytes(range(64))


@dataclass
class House:
    """One stand-in with its plugin."""

    node: StandIn
    host: PluginHost
    onions: Onions
    environment: dict[str, str]
    options: dict[str, str] = field(default_factory=lambda: {"lnrecur-http-port": "off", "lnrecur-log-level": "debug"})
    plugin: Plugin | None = None

    @property
    def running(self) -> Plugin:
        assert self.plugin is not None
        return self.plugin

    async def open(self, *command: str, **options: str) -> Plugin:
        """Start the plugin; without a command the installed one."""
        told = {**self.options, **{name.replace("_", "-"): value for name, value in options.items()}}
        self.plugin = await self.host.start(self.node, *(command or (PLUGIN,)), **told)
        return self.plugin

    async def ask(self, method: str, *positional: Any, **named: Any) -> dict[str, Any]:
        """A command of the plugin's, as lightning-cli asks it."""
        told = await self.host.command(method, list(positional) if positional or not named else named)
        assert told is not None, f"{method}: no plugin\n{self.running.lines()[-2000:]}"
        return told

    async def until(self, subscription: str, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until a subscription is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not true(told := await self.ask("recur-subscriptions", subscription)):
                await asyncio.sleep(0.05)
        return told

    def answers(self, hook: str) -> list[str]:
        return [answer["result"] for name, answer in self.running.answered if name == hook]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    made = Network(tmp_path / "network.sqlite")
    yield made
    made.close()


def a_house(tmp_path: Path, network: Network, name: str, *, announced: bool = True) -> House:
    environment = {**CLEAN, "XDG_DATA_HOME": str(tmp_path / "data")}
    host = PluginHost(environment)
    node = StandIn(tmp_path / name, network.file, hooks=host, announced=announced)
    return House(node, host, Onions(node), environment)


@pytest.fixture
async def street(tmp_path: Path, network: Network) -> AsyncIterator[list[House]]:
    """Two nodes with a channel; nobody's plugin is started yet."""
    houses = [a_house(tmp_path, network, name) for name in ("alice", "shop")]
    network.open_channel(houses[0].node.id, houses[1].node.id, (CAPACITY, CAPACITY))
    async with inhabited(houses):
        yield houses
    assert network.total() == 2 * CAPACITY


@asynccontextmanager
async def inhabited(houses: list[House]) -> AsyncIterator[None]:
    """While they run; afterwards no lightningd has crashed, nor was asked what crashes it."""
    for house in houses:
        await house.node.start()
        house.onions.start()
    yield
    for house in houses:
        await house.host.stop_all()
        assert house.node.crashed is None
        assert not any(method == "createinvoice" for method, _ in house.node.calls)
        await house.node.close()


async def subscribed(alice: House, shop: House, *, every: str = "1d", catch_up: bool = False, **more: Any) -> str:
    """A subscription of alice's to a new offer of the shop's; answers its id."""
    offer = await shop.ask("recur-offer", amount=10_000, description="a thing", every=every, **more)
    asked = await alice.ask("recur-subscribe", offer=offer["offer"], catch_up=catch_up)
    told = await alice.ask("recur-subscribe", offer=offer["offer"], catch_up=catch_up, confirm=asked["confirm"])
    return str(told["id"])


def launcher(folder: Path, patches: str) -> list[str]:
    """A command that starts the plugin with a bug in it."""
    file = folder / "with_a_bug.py"
    file.write_text(f"{patches}\nfrom lnrecur.plugin.main import run\nrun()\n")
    return [sys.executable, str(file)]


async def test_from_offer_to_cancel_by_commands_of_lightning_cli(street: list[House]) -> None:
    alice, shop = street
    for house in street:
        plugin = await house.open()
        assert (plugin.killed, plugin.disabled) == (None, None)
    offer = await shop.ask("recur-offer", "10sat", "a thing", "2s", 10, "by the minute")
    assert (offer["amount_msat"], offer["label"], offer["status"]) == (10_000, "by the minute", "open")
    assert offer["introductions"] == [shop.node.id], "the node itself is asked"
    assert (await shop.ask("recur-offers"))["offers"][0]["offer_id"] == offer["offer_id"]
    assert (await shop.ask("recur-offers", offer["offer_id"][:12]))["offer"] == offer["offer"]

    asked = await alice.ask("recur-subscribe", offer=offer["offer"], max_payments=5)
    assert "in all: at most 50 sat in 5 payments" in "\n".join(asked["you_authorise"])
    assert (await alice.ask("recur-subscriptions"))["subscriptions"] == [], "a question authorises nothing"
    with pytest.raises(RpcError, match="not the digest of these parameters") as refused:
        await alice.ask("recur-subscribe", offer=offer["offer"], max_payments=6, confirm=asked["confirm"])
    assert (refused.value.code, refused.value.data["field"]) == (-32602, "confirm")
    told = await alice.ask("recur-subscribe", offer=offer["offer"], max_payments=5, confirm=asked["confirm"])
    assert told["mandate"]["max_payments"] == 5

    paid = await alice.until(told["id"][:16], lambda now: now["payments"] >= 3)
    cancelled = await alice.ask("recur-cancel", told["id"])
    assert cancelled["cancel_asked"]
    ended = await alice.until(told["id"], lambda now: now["phase"] == "cancelled")
    [theirs] = (await shop.ask("recur-subscriptions", role="payee"))["subscriptions"]
    book = (await shop.ask("recur-subscriptions", theirs["id"]))["book"]
    assert [one["counter"] for one in book] == list(range(ended["payments"]))
    assert [one["preimage"] for one in book] == [one["preimage"] for one in ended["book"]]
    assert paid["payments"] <= ended["payments"] <= 5

    assert set(shop.answers("invoice_payment")) == {"continue"}, "held, and then claimed"
    assert set(shop.answers("onion_message_recv_secret")) == {"resolve"}
    assert set(alice.answers("onion_message_recv_secret")) == {"resolve"}
    assert not shop.onions.for_offers
    assert not alice.onions.for_offers
    for house in street:
        assert await house.host.stop(house.running) == 0
        assert house.running.killed is None
        files = [(house.node.folder / "lnrecur" / name).read_text().strip() for name in ("seed", "http-token")]
        for secret in (*files, *(one["preimage"] for one in book)):
            assert secret not in house.running.lines(), "the log is read by many"


async def test_a_private_node_is_asked_and_paid_over_its_public_peer(tmp_path: Path, network: Network) -> None:
    alice, hub = a_house(tmp_path, network, "alice"), a_house(tmp_path, network, "hub")
    shop = a_house(tmp_path, network, "shop", announced=False)
    network.open_channel(alice.node.id, hub.node.id, (CAPACITY, CAPACITY))
    network.open_channel(hub.node.id, shop.node.id, (CAPACITY, CAPACITY), announced=False)
    async with inhabited([alice, hub, shop]):
        await asyncio.gather(alice.open(), shop.open())
        subscription = await subscribed(alice, shop, payments=2, every="3s")
        [offer] = (await shop.ask("recur-offers"))["offers"]
        assert offer["introductions"] == [hub.node.id]
        told = await alice.until(subscription, lambda now: now["phase"] == "completed")
        assert [one["counter"] for one in told["book"]] == [0, 1]
        assert not any(house.onions.for_offers for house in (alice, hub, shop))


async def test_speaking_as_a_peer_the_plugin_has_a_node_id_of_its_own(street: list[House]) -> None:
    for house in street:
        (house.node.folder / "lnrecur").mkdir(mode=0o700)
        (house.node.folder / "lnrecur" / "config.toml").write_text('peer_listen = "127.0.0.1:0"\n')
        await house.open(lnrecur_messages="peer")
    alice, shop = street
    offer = await shop.ask("recur-offer", "10sat", "a thing", "1d")
    [found] = [(await shop.ask("recur-offers", offer["offer_id"]))["via"][0]]
    assert not found.startswith(shop.node.id)
    given = {"offer": offer["offer"], "via": found}
    asked = await alice.ask("recur-subscribe", **given)
    told = await alice.ask("recur-subscribe", **given, confirm=asked["confirm"])
    await alice.until(told["id"], lambda now: now["payments"] == 1)
    assert shop.answers("onion_message_recv_secret") == []
    assert shop.answers("invoice_payment") == ["continue"], "payments are held all the same"


async def test_errors_are_those_of_json_rpc_and_name_what_is_wrong(street: list[House]) -> None:
    shop = street[1]
    await shop.open()
    for params, code, told in [
        (["recur-offer"], -32602, "missing required parameter: amount"),
        (["recur-offer", "ten", "a thing"], -32602, "Invalid value for amount: 'ten' is no amount"),
        (["recur-offer", 1, "a thing", "5 parsecs"], -32602, "is no period"),
        (["recur-offers", "00"], 1, "no offer with an id that begins with '00'"),
        (["recur-offers", "00", 1], -32602, "too many parameters: got 2, expected 1"),
        (["recur-subscribe", "lno1x"], -32602, "bits of padding"),
        (["recur-cancel", "ff"], 1, "no subscription that we pay"),
        (["recur-subscriptions", None, "both"], -32602, "role is payer or payee"),
    ]:
        with pytest.raises(RpcError, match=told) as refused:
            await shop.ask(*params)
        assert refused.value.code == code, refused.value
        assert refused.value.data["fault"] in ("caller", "peer")
    with pytest.raises(RpcError, match="unknown parameter: prise"):
        await shop.ask("recur-offer", amount=1, description="a thing", prise=5)


async def test_a_plugin_killed_in_the_middle_goes_on_and_pays_nothing_twice(street: list[House]) -> None:
    alice, shop = street
    await asyncio.gather(alice.open(), shop.open())
    subscription = await subscribed(alice, shop, every="2s", payments=3, lenient=True, catch_up=True)
    for paid, killed in enumerate((shop, alice), start=1):
        await alice.until(subscription, lambda now, paid=paid: now["payments"] >= paid)
        killed.running.process.kill()
        await killed.running.process.wait()
        await killed.open()
    told = await alice.until(subscription, lambda now: now["phase"] == "completed")
    [theirs] = (await shop.ask("recur-subscriptions", role="payee"))["subscriptions"]
    book = (await shop.ask("recur-subscriptions", theirs["id"]))["book"]
    assert [one["counter"] for one in told["book"]] == [0, 1, 2]
    assert {one["payment_hash"] for one in told["book"]} == {one["payment_hash"] for one in book}
    assert theirs["surplus_msat"] == 0


async def test_a_payment_that_was_held_when_the_plugin_died_is_booked_when_it_is_back(
    street: list[House], tmp_path: Path
) -> None:
    alice, shop = street
    patch = """import asyncio, lnrecur.plugin.inside as inside
async def wait(self, params): await asyncio.Event().wait()
inside.Inside._payment = wait"""
    await asyncio.gather(alice.open(), shop.open(*launcher(tmp_path, patch)))
    subscription = await subscribed(alice, shop, every="1d")
    await alice.until(subscription, lambda now: now["phase"] == "paying")
    async with asyncio.timeout(PATIENCE_S):
        while not any(call.startswith("cln:invoice_payment") for call in shop.running.asked):
            await asyncio.sleep(0.02)
    shop.running.process.kill()
    told = await alice.until(subscription, lambda now: now["payments"] == 1)
    assert told["book"][0]["amount_msat"] >= 10_000, "lightningd took it: a plugin that dies says continue"
    await shop.open()
    async with asyncio.timeout(PATIENCE_S):
        while not (found := (await shop.ask("recur-subscriptions", role="payee"))["subscriptions"]):
            await asyncio.sleep(0.05)
    assert (found[0]["payments"], found[0]["surplus_msat"]) == (1, 0)


async def test_a_hook_in_which_we_hang_is_answered_at_its_deadline_and_others_go_on(
    street: list[House], tmp_path: Path
) -> None:
    alice, shop = street
    patch = """import dataclasses, time, lnrecur.plugin.catalogue as catalogue, lnrecur.plugin.inside as inside
for name, hook in catalogue.HOOKS.items():
    catalogue.HOOKS[name] = dataclasses.replace(hook, deadline_s=0.5)
async def hang(self, params): time.sleep(2)
inside.Inside._payment = hang"""
    await asyncio.gather(alice.open(), shop.open(*launcher(tmp_path, patch)))
    subscription = await subscribed(alice, shop, every="1d")
    async with asyncio.timeout(PATIENCE_S):
        while not shop.answers("invoice_payment"):
            await asyncio.sleep(0.05)
        invoice = {"label": "the node's own", "preimage": "11" * 32, "msat": 5}
        assert await shop.host.call("invoice_payment", {"payment": invoice}) == {"result": "continue"}
    assert shop.answers("invoice_payment") == ["reject", "continue"], "ours goes back, that of others passes by"
    assert "lightningd waits no longer" in shop.running.lines()
    assert (await alice.ask("recur-subscriptions", subscription))["payments"] == 0
    assert shop.running.killed is None


async def test_a_payment_that_nobody_decides_in_time_goes_back_and_its_invoice_is_withdrawn(
    street: list[House], tmp_path: Path
) -> None:
    alice, shop = street
    patch = """import asyncio, lnrecur.plugin.inside as inside, lnrecur.adapters.nodes.cln.node as node
inside.HOLD_S_MAX = 0.3
async def wait(self, preimage): await asyncio.Event().wait()
node.ClnNode.claim = wait"""
    await asyncio.gather(alice.open(), shop.open(*launcher(tmp_path, patch)))
    subscription = await subscribed(alice, shop)
    async with asyncio.timeout(PATIENCE_S):
        while not shop.answers("invoice_payment"):
            await asyncio.sleep(0.05)
        while (await shop.node.commands["listinvoices"]({}))["invoices"]:
            await asyncio.sleep(0.05)
    assert shop.answers("invoice_payment") == ["reject"]
    assert "a payment of 10000 msat for lnrecur-" in shop.running.lines()
    assert (await alice.ask("recur-subscriptions", subscription))["payments"] == 0


async def test_what_is_held_when_the_plugin_is_stopped_goes_back_and_is_paid_once_after_its_return(
    street: list[House], tmp_path: Path
) -> None:
    alice, shop = street
    patch = """import asyncio, lnrecur.adapters.nodes.cln.node as node
async def wait(self, preimage): await asyncio.Event().wait()
node.ClnNode.claim = wait"""
    await asyncio.gather(alice.open(), shop.open(*launcher(tmp_path, patch)))
    subscription = await subscribed(alice, shop)
    async with asyncio.timeout(PATIENCE_S):
        while not any(call.startswith("cln:invoice_payment") for call in shop.running.asked):
            await asyncio.sleep(0.02)
    assert await shop.host.stop(shop.running) == 0
    assert shop.answers("invoice_payment") == ["reject"]
    await shop.open()
    told = await alice.until(subscription, lambda now: now["payments"] == 1)
    async with asyncio.timeout(PATIENCE_S):
        while not (found := (await shop.ask("recur-subscriptions", role="payee"))["subscriptions"]):
            await asyncio.sleep(0.05)
    [booked] = (await shop.ask("recur-subscriptions", found[0]["id"]))["book"]
    assert (booked["preimage"], found[0]["surplus_msat"]) == (told["book"][0]["preimage"], 0)


async def test_a_hook_in_which_we_fail_is_answered_and_told_in_the_log(street: list[House], tmp_path: Path) -> None:
    shop = street[1]
    patch = """import lnrecur.plugin.inside as inside, os, warnings
async def fail(self, params):
    print("to stdout, by " + "mistake", flush=True)
    os.write(1, b"by mistake, past Python\\n")
    os.system("echo by mistake, by a child")
    warnings.warn("by mistake, by a library")
    raise ZeroDivisionError("a bug")
inside.Inside._payment = inside.Inside._message = fail"""
    await shop.open(*launcher(tmp_path, patch))
    for hook, told, answer in (
        ("invoice_payment", {"payment": {"label": "lnrecur-" + "11" * 32, "preimage": "11" * 32, "msat": 1}}, "reject"),
        ("invoice_payment", {"payment": {"label": "mine", "preimage": "11" * 32, "msat": 1}}, "continue"),
        ("invoice_payment", {}, "continue"),
        ("onion_message_recv_secret", {"onion_message": {"pathsecret": "11" * 32}}, "continue"),
    ):
        assert await shop.host.call(hook, told) == {"result": answer}
    assert "ZeroDivisionError: a bug" in shop.running.lines()
    assert "by mistake" not in shop.running.lines()
    assert shop.running.killed is None, "what was printed went to stderr"


async def test_a_message_of_ours_that_met_a_bug_is_lost_and_asked_again_but_nobody_else_answers_it(
    street: list[House], tmp_path: Path
) -> None:
    alice, shop = street
    patch = """import lnrecur.plugin.inside as inside
whole, failed = inside.Inside._message, []
async def fail_once(self, params):
    if failed: return await whole(self, params)
    failed.append(1)
    raise ZeroDivisionError("a bug")
inside.Inside._message = fail_once"""
    await asyncio.gather(alice.open(), shop.open(*launcher(tmp_path, patch)))
    subscription = await subscribed(alice, shop)
    await alice.until(subscription, lambda now: now["payments"] == 1)
    assert shop.answers("onion_message_recv_secret")[:2] == ["resolve", "resolve"]
    assert "ZeroDivisionError: a bug" in shop.running.lines()
    assert not shop.onions.for_offers


async def test_what_is_not_ours_passes_on_to_the_nodes_own_plugins(street: list[House]) -> None:
    alice, shop = street
    await shop.open()
    offer = await shop.ask("recur-offer", amount=10_000, description="a thing", every="1d")
    assert offer["offer"].startswith("lno1")
    stranger, host = Messenger(alice.node.key), NodeId(bytes.fromhex(shop.node.id))
    own_path = Messenger(shop.node.key).reply_path(b"\x11" * 32, PrivateKey(b"\x07" * 32))
    short_secret = MessageContents(ContentsKind.INVOICE_REQUEST, b"\x00\x01\x02")
    for destination in (own_path, DirectDestination(host)):
        made = stranger.compose(destination, short_secret, ENTROPY, via=[NodeId(bytes.fromhex(alice.node.id))][:0])
        row = (alice.node.id, shop.node.id, made.message.path_key, made.message.onion)
        alice.node.network.run("INSERT INTO onions (sender, receiver, path_key, onion) VALUES (?, ?, ?, ?)", *row)
    async with asyncio.timeout(PATIENCE_S):
        while len(shop.onions.for_offers) < 2:
            await asyncio.sleep(0.02)
    assert [told["invoice_request"] for told in shop.onions.for_offers] == ["000102"] * 2
    assert shop.answers("onion_message_recv_secret") == ["continue"]


async def test_the_http_api_and_the_command_line_work_beside_it(street: list[House], tmp_path: Path) -> None:
    shop = street[1]
    await shop.open(lnrecur_http_port="auto")
    await shop.ask("recur-offer", amount="any", description="a gift", every="1month", dialect="draft")
    home = shop.node.folder / "lnrecur"
    done = await asyncio.create_subprocess_exec(
        *LNRECUR, "offer", "list", "--home", str(home), "--json", stdout=asyncio.subprocess.PIPE, env=shop.environment
    )
    told = json.loads((await done.communicate())[0])
    assert [(one["description"], one["amount_msat"]) for one in told["offers"]] == [("a gift", None)]
    files = [file for file in home.rglob("*") if not file.is_symlink()]
    assert {"seed", "http-token", "lnrecur.sqlite", "daemon.json"} <= {file.name for file in files}
    assert not [file for file in (home, *files) if file.stat().st_mode & 0o077], "nobody else may read them"
    address = json.loads((home / "daemon.json").read_text())["http"]
    headers = {"Authorization": f"Bearer {(home / 'http-token').read_text().strip()}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False) as client:
        info = (await client.get(f"http://{address}/v1/info")).json()
    assert (info["node_id"], info["peers"]) == (shop.node.id, [street[0].node.id])
    assert info["money_node"]["can_hold"] is True


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"lnrecur-http-port": "many"}, "lnrecur-http-port is a port, auto or off, not 'many'"),
        ({"lnrecur-dialect": "klingon"}, "dialect"),
        ({"lnrecur-dir": "/proc/nothing"}, "/proc/nothing"),
    ],
    ids=["port", "dialect", "dir"],
)
async def test_what_cannot_work_disables_the_plugin_and_says_why(
    street: list[House], options: dict[str, str], told: str
) -> None:
    plugin = await street[1].host.start(street[1].node, PLUGIN, **options)
    assert plugin.disabled is not None
    assert told in plugin.disabled
    assert await street[1].host.command("recur-offers", []) is None


async def test_a_daemon_that_cannot_run_is_told_in_the_log_and_lightningd_goes_on(street: list[House]) -> None:
    shop = street[1]
    folder = shop.node.folder / "lnrecur"
    create_home(Home.find(folder))
    (folder / "lnrecur.sqlite").write_bytes(b"no database at all, whatever its name says\n" * 100)
    plugin = await shop.open()
    assert await asyncio.wait_for(plugin.process.wait(), PATIENCE_S) == 1
    assert "error lnrecur.plugin: lnrecur ends: the database cannot be read" in plugin.lines()
    assert plugin.killed is None
    assert (await shop.node.commands["getinfo"]({}))["id"] == shop.node.id
    assert await shop.host.command("recur-offers", []) is None


async def test_started_by_hand_it_says_what_it_is(tmp_path: Path) -> None:
    done = await asyncio.create_subprocess_exec(
        PLUGIN, "--help", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=CLEAN
    )
    printed, told = await done.communicate()
    assert (done.returncode, printed) == (0, b"")
    assert f"plugin={PLUGIN}" in told.decode()


async def test_the_manifest_touches_no_file_and_hanging_up_ends_it(street: list[House], tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    process = await asyncio.create_subprocess_exec(
        PLUGIN, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=folder,
        env={**street[0].environment, "LIGHTNINGD_PLUGIN": "1", "HOME": str(folder)},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b'{"jsonrpc":"2.0","id":"cln:getmanifest#1","method":"getmanifest","params":{}}\n\n')
    answer = json.loads(await process.stdout.readuntil(b"\n\n"))
    assert answer == {"jsonrpc": "2.0", "id": "cln:getmanifest#1", "result": manifest()}
    assert [method["name"] for method in answer["result"]["rpcmethods"]] == [command.name for command in COMMANDS]
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
    assert list(folder.iterdir()) == []


async def test_sigterm_and_a_vanished_lightningd_end_the_daemon_cleanly(street: list[House]) -> None:
    alice, shop = street
    await asyncio.gather(alice.open(), shop.open())
    await asyncio.gather(alice.ask("recur-offers"), shop.ask("recur-offers"))
    os.kill(alice.running.process.pid, signal.SIGTERM)
    assert shop.running.process.stdin is not None
    shop.running.process.stdin.close()
    for house in street:
        assert await asyncio.wait_for(house.running.process.wait(), PATIENCE_S) == 0
        assert house.running.killed is None
