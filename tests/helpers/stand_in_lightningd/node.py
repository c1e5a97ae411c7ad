"""One stand-in: its socket, its HTLCs, its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from helpers.stand_in_lightningd.framing import RpcError, RpcServer
from helpers.stand_in_lightningd.hooks import Hooks
from helpers.stand_in_lightningd.network import Network, Terms
from helpers.stand_in_lightningd.paying import Paying, terms_of
from helpers.stand_in_lightningd.receiving import CLTV_FINAL, Receiving
from helpers.stand_in_lightningd.telling import FEATURES, Telling
from lnrecur.crypto.errors import CryptoError
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.blinding import open_hop
from lnrecur.onion.errors import OnionError
from lnrecur.onion.payloads import EncryptedData
from lnrecur.onion.payment_path import open_final_hop
from lnrecur.values import CHAINS, Msat, Point
from lnrecur.wire.errors import WireError

VERSION = "v26.06.6"
POLL_S = 0.005


class StandIn:
    """A process's worth of lightningd. `start`, then use its socket; `stop` in peace, or `crash`."""

    def __init__(
        self,
        folder: Path,
        network: Path,
        *,
        clock: Callable[[], int] = lambda: int(time.time()),
        chain: str = "regtest",
        version: str = VERSION,
        hooks: Hooks | None = None,
        announced: bool = True,
        is_process: bool = False,
    ) -> None:
        """`folder` is its lightning-dir and keeps its key; `network` is the file that it shares with others."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.chain, self.version, self.now = folder, chain, version, clock
        self.chain_hash = CHAINS[chain]
        self.network = Network(network)
        self.key = PrivateKey(self._secret(folder / "hsm_secret"))
        self.id = self.key.point.hex()
        self.alias = folder.name[:32]
        self.hooks = hooks or Hooks()
        self.connected: set[str] = set()
        """Peers without channels."""
        self.addresses: dict[str, list[dict[str, Any]]] = {}
        """What listnodes tells, by node id."""
        self.configs: dict[str, dict[str, Any]] = {}
        self.warnings: dict[str, str] = {}
        self.plugins: list[dict[str, Any]] = []
        self.cltv_final = CLTV_FINAL
        self.missing: set[str] = set()
        """Commands that this version lacks."""
        self.delays: dict[str, asyncio.Event] = {}
        """Commands that wait here before they do anything."""
        self.calls: list[tuple[str, Any]] = []
        """All that was asked."""
        self.crashed: str | None = None
        self.chunk = 0
        """Answers are written in pieces of so many bytes; 0: at once."""
        self._is_process = is_process
        self._receiving, self._paying, self._telling = Receiving(self), Paying(self), Telling(self)
        self.commands = {**self._receiving.commands, **self._paying.commands, **self._telling.commands}
        self._moved = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._handling: set[int] = set()
        self._server: RpcServer | None = None
        self.network.join(self.id, self.alias, FEATURES, announced=announced)

    @property
    def rpc_file(self) -> Path:
        """The socket."""
        return self.folder / "lightning-rpc"

    async def start(self, plugins: Callable[[], Awaitable[None]] | None = None) -> None:
        """Listen, start the plugins, and only then go on with the HTLCs that there are."""
        self.crashed = None
        self._handling.clear()
        self._server = RpcServer(self.rpc_file, self._perform, chunk=self.chunk)
        await self._server.start()
        if plugins is not None:
            await plugins()
        self._spawn(self._watch())

    async def stop(self) -> None:
        """Let go of everything; the state is on disk. It can be started again."""
        for task in set(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.stop()
            self._server = None
        self.rpc_file.unlink(missing_ok=True)

    async def close(self) -> None:
        """Stop for good."""
        await self.stop()
        self.network.close()

    def crash(self, why: str) -> None:
        """What lightningd aborts at."""
        self.crashed = why
        if self._is_process:
            print(f"stand-in lightningd: FATAL: {why}", file=sys.stderr, flush=True)
            os.abort()
        task = asyncio.ensure_future(self.stop())
        task.add_done_callback(lambda _: None)

    # --- for the commands

    def random(self, size: int) -> bytes:
        return os.urandom(size)

    def terms(self, scid: str, sender: str) -> Terms:
        """What a node asks for forwarding over a channel."""
        channel = self.network.row("SELECT * FROM channels WHERE scid = ?", scid)
        assert channel is not None
        return terms_of(channel["terms1" if channel["node1"] == sender else "terms2"])

    async def delay(self, name: str) -> None:
        """Wait where a test wants it."""
        if (until := self.delays.get(name)) is not None:
            await until.wait()

    async def wait_for(self, look: Callable[[], bool], timeout_s: float | None) -> bool:
        """Until it is so; False after a time."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not look():
            if end is not None and time.monotonic() >= end:
                return False
            left = None if end is None else max(0.0, end - time.monotonic())
            moved = self._moved
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await moved.wait()
        return True

    def ring(self) -> None:
        """Something has changed: whoever waits looks again."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _perform(self, method: str, params: Any) -> dict[str, Any]:
        self.calls.append((method, params))
        command = self.commands.get(method)
        if command is None or method in self.missing:
            told = await self.hooks.command(method, params)
            if told is None:
                raise RpcError(-32601, f"Unknown command '{method}'")
            return told
        if not isinstance(params, dict):
            raise RpcError(-32602, "this stand-in takes parameters of its own commands by name")
        if method != "xpay":
            await self.delay(method)
        try:
            told = await command(params)
        except KeyError as error:
            raise RpcError(-32602, f"missing required parameter: {error.args[0]}") from error
        self.ring()
        return told

    # --- HTLCs

    async def _watch(self) -> None:
        seen, clock = -1, self.now()
        while True:
            changes, now = self.network.changes(), self.now()
            if self._work() or changes != seen or now != clock:
                self._receiving.expire()
                self.ring()
            seen, clock = changes, now
            await asyncio.sleep(POLL_S)

    def _work(self) -> bool:
        self._paying.settle()
        self._pass_back()
        rows = self.network.rows("SELECT * FROM htlcs WHERE receiver = ? AND state = 'offered'", self.id)
        new = [row for row in rows if row["id"] not in self._handling]
        for row in new:
            self._handling.add(row["id"])
            self._spawn(self._handle(row))
        return bool(new)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, htlc: sqlite3.Row) -> None:
        """One HTLC that came in: forward it, take it or fail it."""
        if self.network.row("SELECT * FROM htlcs WHERE upstream = ?", htlc["id"]) is not None:
            return  # forwarded before a restart
        await self.hooks.call(
            "htlc_accepted", {"htlc": {"payment_hash": htlc["payment_hash"], "amount_msat": htlc["amount"]}}
        )
        onion = json.loads(htlc["onion"])
        try:
            if onion["plain"]:
                self._forward_plain(htlc, onion)
                return
            path_key, data = Point(bytes.fromhex(onion["path_key"])), bytes.fromhex(onion["blinded"][0])
            if len(onion["blinded"]) > 1:
                self._forward_blinded(htlc, onion, path_key, data)
                return
            hop = open_final_hop(self.key, path_key, data)
            if hop.constraints is not None:
                hop.constraints.admit(Msat(htlc["amount"]), htlc["cltv"])
        except (OnionError, WireError, CryptoError) as error:
            print(f"stand-in lightningd {self.alias}: {error}", file=sys.stderr)
            self._fail(
                htlc, "incorrect_or_unknown_payment_details" if len(onion["blinded"]) == 1 else "invalid_onion_blinding"
            )
            return
        _, failure = await self._receiving.arrived(htlc, hop)
        if failure is not None:
            self._fail(htlc, failure)
        self.ring()

    def _forward_plain(self, htlc: sqlite3.Row, onion: dict[str, Any]) -> None:
        step = onion["plain"][0]
        rest = {**onion, "plain": onion["plain"][1:]}
        terms = self.terms(step["scid"], self.id)
        paid = htlc["amount"] - step["amount"] >= terms.fee(step["amount"])
        if not paid or htlc["cltv"] - step["cltv"] < terms.cltv_expiry_delta:
            self._fail(htlc, "fee_insufficient")
            return
        self._offer(htlc, step["scid"], step["amount"], step["cltv"], rest, "temporary_channel_failure")

    def _forward_blinded(self, htlc: sqlite3.Row, onion: dict[str, Any], path_key: Point, sealed: bytes) -> None:
        opened = open_hop(path_key, self.key.ecdh(path_key), sealed)
        data = EncryptedData.from_bytes(opened.data)
        data.require_no_features()
        following = data.forward_to()
        assert data.payment_relay is not None
        if data.payment_constraints is not None:
            data.payment_constraints.admit(Msat(htlc["amount"]), htlc["cltv"])
        amount, cltv = data.payment_relay.forwarded(Msat(htlc["amount"]), htlc["cltv"])
        rest = {
            "plain": [],
            "path_key": (data.next_path_key_override or opened.next_path_key).hex(),
            "blinded": onion["blinded"][1:],
        }
        scid = self.channel_to(following)
        if scid is None:
            self._fail(htlc, "invalid_onion_blinding")
            return
        self._offer(htlc, scid, amount, cltv, rest, "invalid_onion_blinding")

    def channel_to(self, following: Any) -> str | None:
        """By a channel's id or by the alias we gave it: the alias alone for one that is not announced."""
        for channel in self.network.rows("SELECT * FROM channels WHERE ? IN (node1, node2)", self.id):
            side, other = (1, "node2") if channel["node1"] == self.id else (2, "node1")
            if isinstance(following, bytes):
                if channel[other] == following.hex():
                    return str(channel["scid"])
                continue
            named = f"{following >> 40}x{following >> 16 & 0xFFFFFF}x{following & 0xFFFF}"
            if named == channel[f"alias{side}"] or (channel["announced"] and named == channel["scid"]):
                return str(channel["scid"])
        return None

    def _offer(self, htlc: sqlite3.Row, scid: str, amount: int, cltv: int, onion: dict[str, Any], failure: str) -> None:
        with self.network.transaction():
            if self.network.offer_htlc(scid, self.id, htlc["payment_hash"], amount, cltv, onion, htlc["id"]) is None:
                self.network.settle_htlc(htlc["id"], failure=failure)
        self.ring()

    def _fail(self, htlc: sqlite3.Row, failure: str) -> None:
        with self.network.transaction():
            self.network.settle_htlc(htlc["id"], failure=failure)
        self.ring()

    def _pass_back(self) -> None:
        """What became of forwarded HTLCs; nobody before a blinded path learns what went wrong inside it."""
        ended = self.network.rows(
            "SELECT up.id, up.onion, down.state, down.preimage, down.failure FROM htlcs AS down JOIN htlcs AS up"
            " ON up.id = down.upstream WHERE down.sender = ? AND down.state <> 'offered' AND up.state = 'offered'",
            self.id,
        )
        for row in ended:
            inside = not json.loads(row["onion"])["plain"]
            failure = "invalid_onion_blinding" if inside else row["failure"]
            with self.network.transaction():
                if row["state"] == "fulfilled":
                    self.network.settle_htlc(row["id"], preimage=row["preimage"])
                else:
                    self.network.settle_htlc(row["id"], failure=failure)

    @staticmethod
    def _secret(file: Path) -> bytes:
        if not file.exists():
            file.write_bytes(sha256(b"a stand-in", os.urandom(32)))
        return file.read_bytes()
