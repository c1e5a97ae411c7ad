"""Onion messages between stand-ins, and `injectonionmessage`. Sphinx is real here; the wires are rows of the file.

As in connectd: forwarded to any connected peer; of each incoming peer four at once, then one in 250 ms, and the rest is
dropped in silence; what is injected is not limited. A message that ends here goes through the hooks, with its path_id
only where that has 32 bytes. What no plugin takes, the node's own offers plugin gets (`for_offers`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from helpers.stand_in_lightningd.framing import RpcError
from helpers.stand_in_lightningd.node import StandIn
from lnrecur.messaging.messenger import ContentsKind, Delivered, MessageUnreadable, Messenger
from lnrecur.values import Point
from lnrecur.wire.blinded_path import BlindedPath, ChannelDirection
from lnrecur.wire.messages import OnionMessage

POLL_S = 0.005
BURST, EVERY_S = 4, 0.25
_SCHEMA = """CREATE TABLE IF NOT EXISTS onions (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sender TEXT, receiver TEXT, path_key BLOB, onion BLOB)"""
_NAMES = {ContentsKind.INVOICE_REQUEST: "invoice_request", ContentsKind.INVOICE: "invoice",
          ContentsKind.INVOICE_ERROR: "invoice_error"}  # fmt: skip


@dataclass
class Onions:
    """The messages of one stand-in."""

    node: StandIn
    limited: bool = True
    for_offers: list[dict[str, Any]] = field(default_factory=list)
    dropped: int = 0
    on_offers: Callable[[dict[str, Any]], None] | None = None

    def __post_init__(self) -> None:
        self._messenger = Messenger(self.node.key)
        self._credit: dict[str, tuple[float, float]] = {}
        self.node.network.db.executescript(_SCHEMA)
        self.node.commands["injectonionmessage"] = self.inject

    def start(self) -> None:
        """Take what comes; what came while we were away is lost."""
        self.node.network.run("DELETE FROM onions WHERE receiver = ?", self.node.id)
        self.node._spawn(self._watch())

    async def inject(self, params: dict[str, Any]) -> dict[str, Any]:
        try:
            message = OnionMessage(Point(bytes.fromhex(params["path_key"])), bytes.fromhex(params["message"]))
            outcome = self._messenger.receive(message)
        except (ValueError, MessageUnreadable) as error:
            raise RpcError(-1, f"onion msg: {error}") from error
        if isinstance(outcome, Delivered):
            self.node._spawn(self._ends_here(outcome))
        else:
            await self._forward(outcome.next_node, outcome.message)
        return {}

    async def peers(self) -> list[str]:
        told = await self.node.commands["listpeers"]({})
        return [peer["id"] for peer in told["peers"] if peer["connected"]]

    async def _forward(self, next_node: Any, message: OnionMessage) -> None:
        named = next_node.hex() if isinstance(next_node, bytes) else self._end_of(next_node)
        if named not in await self.peers():
            raise RpcError(-1, f"onion msg: unknown next peer {named}")
        row = (self.node.id, named, message.path_key, message.onion)
        self.node.network.run("INSERT INTO onions (sender, receiver, path_key, onion) VALUES (?, ?, ?, ?)", *row)

    def _end_of(self, channel: int) -> str | None:
        scid = self.node.channel_to(channel)
        row = self.node.network.row("SELECT * FROM channels WHERE scid = ?", scid)
        return None if row is None else str(row["node2"] if row["node1"] == self.node.id else row["node1"])

    async def _watch(self) -> None:
        while True:
            rows = self.node.network.rows("SELECT * FROM onions WHERE receiver = ? ORDER BY id", self.node.id)
            for row in rows:
                self.node.network.run("DELETE FROM onions WHERE id = ?", row["id"])
                if self._lets_through(row["sender"]):
                    self.node._spawn(self._take(OnionMessage(Point(row["path_key"]), row["onion"])))
            await asyncio.sleep(POLL_S)

    async def _take(self, message: OnionMessage) -> None:
        try:
            outcome = self._messenger.receive(message)
            if isinstance(outcome, Delivered):
                await self._ends_here(outcome)
            else:
                await self._forward(outcome.next_node, outcome.message)
        except (RpcError, MessageUnreadable):
            return  # nothing goes back

    async def _ends_here(self, delivered: Delivered) -> None:
        told: dict[str, Any] = {"unknown_fields": []}
        secret = delivered.path_id is not None and len(delivered.path_id) == 32
        if secret and delivered.path_id is not None:
            told["pathsecret"] = delivered.path_id.hex()
        if delivered.reply_path is not None:
            told["reply_blindedpath"] = _shape(delivered.reply_path)
        if delivered.contents is not None:
            told[_NAMES[delivered.contents.kind]] = delivered.contents.data.hex()
        hook = "onion_message_recv_secret" if secret else "onion_message_recv"
        answer = await self.node.hooks.call(hook, {"onion_message": told})
        if answer.get("result") == "continue":
            self.for_offers.append(told)
            if self.on_offers is not None:
                self.on_offers(told)

    def _lets_through(self, sender: str) -> bool:
        if not self.limited:
            return True
        now = time.monotonic()
        credit, at = self._credit.get(sender, (float(BURST), now))
        credit = min(float(BURST), credit + (now - at) / EVERY_S)
        passes = credit >= 1
        self._credit[sender] = (credit - passes, now)
        self.dropped += not passes
        return passes


def _shape(path: BlindedPath) -> dict[str, Any]:
    begin = path.first_node_id
    told: dict[str, Any] = {"first_path_key": path.first_path_key.hex()}
    if isinstance(begin, ChannelDirection):
        number = begin.channel
        told["first_scid"] = f"{number >> 40}x{number >> 16 & 0xFFFFFF}x{number & 0xFFFF}"
        told["first_scid_dir"] = begin.direction
    else:
        told["first_node_id"] = begin.hex()
    told["hops"] = [
        {"blinded_node_id": hop.blinded_node_id.hex(), "encrypted_recipient_data": hop.encrypted_recipient_data.hex()}
        for hop in path.hops
    ]
    return told
