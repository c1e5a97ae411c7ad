"""A regtest network of btcd and lnd nodes on 127.0.0.1, as processes of this machine, steered over their own APIs."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from btclib_secp256k1 import dsa

from helpers.leash import leashed
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey

MINER = PrivateKey(bytes(31) + b"\x2a")
"""Whose coins the first blocks are. btcd forgets a regtest chain when it is started again, so the coins are sent on."""
FIRST_BLOCKS = 450
"""Segwit becomes active at block 432, and most coins are ripe by then."""
HIDING = dict.fromkeys("BD", ("--protocol.option-scid-alias",))
"""B and D can have a channel that is known by an alias alone; those who have none of it open theirs as usual."""
COINBASE_SAT = 5_000_000_000
CHANNEL_SAT = 2_000_000
UTXOS = 4
"""So many channels can be opened before a block comes."""
UP_S_MAX = 180.0
"""Patience, not speed: the machine may be busy with all the other tests."""

T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def wait_until(look: Callable[[], T | None], what: str, seconds: float = UP_S_MAX) -> T:
    """Look until there is something; what a node in trouble says counts as nothing yet."""
    until = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < until:
        try:
            found = look()
            if found:
                return found
            last = found
        except (httpx.HTTPError, LndSaysNo, OSError) as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds:g} s ({last})")


class LndSaysNo(Exception):
    """lnd answered with an error."""


class Process:
    """A program with a log; ended by its own process id and no other, and with us in any case."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(leashed(command), stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]


class Btcd:
    """The chain."""

    def __init__(self, program: Path, folder: Path) -> None:
        folder.mkdir()
        self._program, self._folder = program, folder
        self.rpc_port, self._port = free_ports(2)
        self._spent = 0
        self.process = self._start()

    @property
    def certificate(self) -> Path:
        return self._folder / "rpc.cert"

    def send_coins(self, address: str) -> None:
        """Send the miner's oldest coins to an address (btcd writes to no bech32 ones), signed by hand."""
        self._spent += 1
        block = self.ask("getblock", self.ask("getblockhash", self._spent), 1)
        amount = (COINBASE_SAT - 10_000) / 100_000_000
        unsigned = bytes.fromhex(
            self.ask("createrawtransaction", [{"txid": block["tx"][0], "vout": 0}], {address: amount})
        )
        head, tail = unsigned[:41], unsigned[42:]  # version, one outpoint | no script | sequence, outputs, lock time
        script = bytes((33,)) + MINER.point + b"\xac"
        digest = sha256(sha256(head, bytes((len(script),)), script, tail, b"\x01\0\0\0"))
        signature = dsa.sign(digest, MINER.secret) + b"\x01"
        unlocking = bytes((len(signature),)) + signature
        self.ask("sendrawtransaction", (head + bytes((len(unlocking),)) + unlocking + tail).hex(), True)

    def generate(self, blocks: int) -> None:
        self.ask("generate", blocks)

    def ask(self, method: str, *params: Any) -> Any:
        context = ssl.create_default_context(cafile=str(self.certificate))
        body = {"jsonrpc": "1.0", "id": 1, "method": method, "params": list(params)}
        answer = httpx.post(
            f"https://127.0.0.1:{self.rpc_port}",
            json=body,
            auth=("u", "p"),
            verify=context,
            timeout=60,
            trust_env=False,
        ).json()
        if answer["error"] is not None:
            raise LndSaysNo(str(answer["error"]))
        return answer["result"]

    def _start(self) -> Process:
        flags = {
            "datadir": self._folder / "data",
            "logdir": self._folder / "logs",
            "rpcuser": "u",
            "rpcpass": "p",
            "rpclisten": f"127.0.0.1:{self.rpc_port}",
            "listen": f"127.0.0.1:{self._port}",
            "rpccert": self.certificate,
            "rpckey": self._folder / "rpc.key",
            "miningaddr": MINER.point.hex(),
        }
        command = [str(self._program), "--regtest", "--txindex", "--nobanning", "--nodnsseed", "--norelaypriority"]
        # No file of the user's may have a say.
        command += [f"--{key}={value}" for key, value in flags.items()] + [f"--configfile={self._folder / 'btcd.conf'}"]
        (self._folder / "btcd.conf").touch()
        process = Process(command, self._folder / "output")

        def up() -> int | None:
            assert process.process.poll() is None, process.tail()
            return int(self.ask("getblockcount")) + 1

        wait_until(up, "btcd")
        return process


class Lnd:
    """One lnd node: its process and its REST API, as an administrator sees it."""

    def __init__(self, programs: Path, folder: Path, btcd: Btcd, name: str) -> None:
        folder.mkdir()
        self.name, self.folder = name, folder
        self._programs, self._btcd = programs, btcd
        self.port, self.rpc_port, self.rest_port = free_ports(3)
        self.process: Process | None = None
        self.node_id = ""
        self.wallet_flags: tuple[str, ...] = ("--noseedbackup",)
        """Without them its wallet is made and unlocked by a person."""

    @property
    def certificate(self) -> Path:
        return self.folder / "tls.cert"

    @property
    def macaroon(self) -> Path:
        return self.folder / "data" / "chain" / "bitcoin" / "regtest" / "admin.macaroon"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.rest_port}"

    @property
    def address(self) -> str:
        return f"{self.node_id}@127.0.0.1:{self.port}"

    def launch(self, *extra: str) -> None:
        flags = {
            "lnddir": self.folder,
            "configfile": self.folder / "lnd.conf",
            "alias": self.name,
            "bitcoin.node": "btcd",
            "btcd.rpchost": f"127.0.0.1:{self._btcd.rpc_port}",
            "btcd.rpcuser": "u",
            "btcd.rpcpass": "p",
            "btcd.rpccert": self._btcd.certificate,
            "listen": f"127.0.0.1:{self.port}",
            "externalip": f"127.0.0.1:{self.port}",
            "rpclisten": f"127.0.0.1:{self.rpc_port}",
            "restlisten": f"127.0.0.1:{self.rest_port}",
            "bitcoin.defaultchanconfs": 1,
            "trickledelay": 50,
            "gossip.sub-batch-delay": "5ms",
            "minbackoff": "100ms",
            "maxbackoff": "500ms",
            "debuglevel": "info",
            "maxpendingchannels": 10,
            # A failed try closes a road for an hour, as far as lnd is concerned; here the next test needs it.
            "routerrpc.apriori.penaltyhalflife": "10ms",
        }
        command = [str(self._programs / "lnd"), "--bitcoin.regtest", "--nobootstrap"]
        command += [
            *self.wallet_flags,
            "--protocol.onion-msg-relay-all",
            *HIDING.get(self.name, ()),
            *(f"--{key}={value}" for key, value in flags.items()),
            *extra,
        ]
        (self.folder / "lnd.conf").touch()
        self.process = Process(command, self.folder / "output")

    def wait_until_up(self) -> None:
        def up() -> str | None:
            assert self.process is not None
            assert self.process.process.poll() is None, self.process.tail()
            info = self.get("/v1/getinfo")
            return info["identity_pubkey"] if info["synced_to_chain"] else None

        self.node_id = wait_until(up, f"lnd {self.name}")

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()
            self.process = None

    def restart(self, *extra: str) -> None:
        self.launch(*extra)
        self.wait_until_up()

    # --- its API

    def get(self, path: str, **query: Any) -> Any:
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._ask("POST", path, json=body or {})

    def _ask(self, method: str, path: str, **extra: Any) -> Any:
        if not self.macaroon.exists():
            raise LndSaysNo(f"{self.name} has no macaroon yet")
        context = ssl.create_default_context(cafile=str(self.certificate))
        headers = {"Grpc-Metadata-macaroon": self.macaroon.read_bytes().hex()}
        with httpx.Client(verify=context, headers=headers, timeout=30, trust_env=False) as client:
            answer = client.request(method, self.url + path, **extra)
        told = answer.json()
        if not answer.is_success:
            raise LndSaysNo(f"{answer.status_code} {told}")
        return told

    def cli(self, *args: str) -> str:
        """Run lncli, as the pages tell."""
        command = [*self.cli_command(), *args]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    def cli_command(self) -> list[str]:
        """lncli, for this node."""
        where = [f"--lnddir={self.folder}", f"--rpcserver=127.0.0.1:{self.rpc_port}"]
        return [str(self._programs / "lncli"), "--network=regtest", *where]

    def channels(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/v1/channels")["channels"]
        return found

    def balance_msat(self) -> int:
        """What is ours in all channels, in msat; nothing may be in flight."""
        told = self.get("/v1/balance/channels")
        return int(told["local_balance"]["msat"])

    def cancel_all_invoices(self) -> None:
        """Return what is held, so that the next test finds all coins where they can be spent."""
        for invoice in self.get("/v1/invoices", pending_only="true", num_max_invoices="1000")["invoices"]:
            self.post("/v2/invoices/cancel", {"payment_hash": invoice["r_hash"]})

    def in_flight(self) -> int:
        """How many HTLCs there are just now."""
        return sum(len(channel["pending_htlcs"]) for channel in self.channels())

    def connect(self, other: Lnd) -> None:
        host = f"127.0.0.1:{other.port}"
        if other.node_id not in {peer["pub_key"] for peer in self.get("/v1/peers")["peers"]}:
            self.post("/v1/peers", {"addr": {"pubkey": other.node_id, "host": host}, "perm": True})

    def open_channel(self, other: Lnd, sat: int = CHANNEL_SAT, push_sat: int = 0, private: bool = False) -> None:
        self.connect(other)
        body = {
            "node_pubkey": base64.b64encode(bytes.fromhex(other.node_id)).decode(),
            "local_funding_amount": str(sat),
            "push_sat": str(push_sat),
            "private": private,
            "scid_alias": private,
            "sat_per_vbyte": "2",
        }
        wait_until(lambda: self.post("/v1/channels", body), f"a channel of {self.name} with {other.name}")


class Network:
    """btcd and lnd nodes, without channels at first."""

    def __init__(self, programs: Path, folder: Path, names: str = "ABCD") -> None:
        self.folder, self._programs = folder, programs
        self.began = time.monotonic()
        self.btcd = Btcd(programs / "btcd", folder / "btcd")
        self.nodes: dict[str, Lnd] = {}
        try:
            self.btcd.generate(FIRST_BLOCKS)
            for name in names:
                self.add(name)
            for node in self.nodes.values():
                node.wait_until_up()
        except BaseException:
            self.close()
            raise

    def __getitem__(self, name: str) -> Lnd:
        return self.nodes[name]

    def lone(self, name: str) -> Lnd:
        """A node that is none of the network's, yet to be launched."""
        return Lnd(self._programs, self.folder / name, self.btcd, name)

    def add(self, name: str) -> Lnd:
        node = self.lone(name)
        self.nodes[name] = node
        node.launch()
        return node

    def fund(self, rich: str) -> None:
        """Give one node coins."""
        address = self[rich].get("/v1/newaddress", type="NESTED_PUBKEY_HASH")["address"]
        for _ in range(UTXOS):
            self.btcd.send_coins(address)
        self.btcd.generate(1)
        self.all_synced()

        def confirmed() -> bool:
            return int(self[rich].get("/v1/balance/blockchain")["confirmed_balance"]) > 0

        wait_until(confirmed, f"coins of {rich}")

    def all_synced(self) -> None:
        height = self.btcd.ask("getblockcount")
        for node in self.nodes.values():
            if node.process is not None:
                wait_until(
                    lambda node=node: (
                        (info := node.get("/v1/getinfo"))["synced_to_chain"] and info["block_height"] >= height
                    ),
                    f"{node.name} at block {height}",
                )

    def balances(self) -> dict[str, int]:
        """What each node has in its channels, in msat, once no HTLC is under way anywhere."""

        def at_rest() -> bool:
            return not any(node.in_flight() for node in self.nodes.values())

        wait_until(at_rest, "all HTLCs done")
        return {name: node.balance_msat() for name, node in self.nodes.items()}

    def announce(self) -> None:
        """Six blocks, and then wait until every node knows every announced channel with both policies."""
        self.btcd.generate(6)
        self.all_synced()

    def wait_for_graph(self, channels: int, nodes: str) -> None:
        def known(node: Lnd) -> bool:
            graph = node.get("/v1/graph")
            told = [edge for edge in graph["edges"] if edge["node1_policy"] and edge["node2_policy"]]
            named = {one["pub_key"] for one in graph["nodes"] if one["features"]}
            return len(told) >= channels and named >= {self[name].node_id for name in nodes}

        for name in nodes:
            wait_until(lambda node=self[name]: known(node), f"the graph of {name}")

    def close(self) -> None:
        for node in self.nodes.values():
            node.kill()
        self.btcd.process.kill()


@contextmanager
def line_of_three(programs: Path, folder: Path) -> Iterator[Network]:
    """A=B=C, two channels each, all opened by B, half of each pushed: everyone can pay and be paid. D has nothing."""
    network = Network(programs, folder)
    try:
        network.fund("B")
        for other in "ACAC":
            network["B"].open_channel(network[other], push_sat=CHANNEL_SAT // 2)
        network.announce()
        network.wait_for_graph(channels=4, nodes="ABC")
        yield network
    finally:
        network.close()


def remove(folder: Path) -> None:
    """Throw a network's files away."""
    shutil.rmtree(folder, ignore_errors=True)


def pretty(told: Any) -> str:
    return json.dumps(told, indent=1)
