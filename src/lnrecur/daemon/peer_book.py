"""The peers to be connected to for good: those of the settings, and those added while the daemon runs.

The second kind stands in `peers.json` in the data folder. It is replaced as a whole, by renaming, before anything else
is done about a change: what a command said was added or removed is so after the next start, whatever happens.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lnrecur.adapters.link import TcpPeerLink
from lnrecur.adapters.router import GraphRouter
from lnrecur.daemon.files import HomeError
from lnrecur.errors import UsageError
from lnrecur.ports import LinkTotals, PeerAddress, PeerStatus, PeerUnreachable
from lnrecur.service.addresses import parse_address
from lnrecur.values import NodeId

_VERSION: Final = 1
_PATIENCE_S: Final = 30.0
"""How long `add` waits; through Tor a dial may take longer than anybody wants to look at a command."""
CONFIG: Final = "config"
ADDED: Final = "added"


@dataclass(frozen=True, slots=True)
class Listed:
    """A peer, and why it is there."""

    status: PeerStatus
    source: str | None
    """`CONFIG`, `ADDED`, or None for a peer that is connected and not kept."""


class PeerBook:
    """Who is kept, with the link that keeps them."""

    def __init__(self, link: TcpPeerLink, router: GraphRouter, configured: Sequence[PeerAddress], path: Path) -> None:
        """Have all peers kept that the settings and the file name. The link still has to be started.

        Args:
            link: keeps them.
            router: learns their addresses.
            configured: the peers of the settings; they win over the file.
            path: the file; it need not exist.

        Raises:
            HomeError: the file is there and cannot be read.
            UsageError: more peers than may be kept.
        """
        self._link = link
        self._router = router
        self._path = path
        self._configured = {address.node_id: address for address in configured}
        self._added = {address.node_id: address for address in _read(path) if address.node_id not in self._configured}
        for address in (*self._configured.values(), *self._added.values()):
            self._keep(address)

    def kept(self) -> list[NodeId]:
        """All kept peers, those of the settings first."""
        return [*self._configured, *self._added]

    def listed(self) -> list[Listed]:
        """Every kept peer, then everybody else who is connected."""
        return [Listed(status, self._source(status.node_id)) for status in self._link.statuses()]

    def totals(self) -> LinkTotals:
        """What happened on all connections since the daemon started."""
        return self._link.totals()

    async def add(self, address: PeerAddress) -> tuple[Listed, str | None]:
        """Keep a peer from now on, and dial it; answers how it stands, and why it is not connected (None: it is).

        Raises:
            UsageError: it is this node, the settings keep it at another address, or as many are kept as may be.
            HomeError: the file cannot be written; then it is not kept.
        """
        node = address.node_id
        if node == self._link.node_id:
            raise UsageError("that is this node itself", field="address")
        configured = self._configured.get(node)
        if configured is not None and configured != address:
            place = str(configured).partition("@")[2]
            told = f"the settings keep this peer at {place}: change it there, in `peers`"
            raise UsageError(told, field="address")
        if configured is None:
            self._write({**self._added, node: address})
            try:
                self._keep(address)
            except UsageError:
                self._write(self._added)
                raise
            self._added[node] = address
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._link.reach(address)
        except PeerUnreachable as error:
            return self._one(node), str(error)
        except TimeoutError:
            return self._one(node), f"no answer within {_PATIENCE_S:g} s, the dial goes on"
        return self._one(node), None

    def remove(self, node: NodeId) -> None:
        """Keep a peer no longer, and hang up.

        Raises:
            UsageError: the settings keep it, or nobody does.
            HomeError: the file cannot be written; then it is still kept.
        """
        if node in self._configured:
            told = "this peer is named in the settings: take it out of `peers` there, and start the daemon anew"
            raise UsageError(told, field="id")
        if node not in self._added:
            raise UsageError("this peer is connected, but it is not kept: it came by itself", field="id")
        rest = {other: address for other, address in self._added.items() if other != node}
        self._write(rest)
        self._added = rest
        self._link.forget(node)

    def _keep(self, address: PeerAddress) -> None:
        self._link.keep(address)
        self._router.learn(address)

    def _source(self, node: NodeId) -> str | None:
        return CONFIG if node in self._configured else ADDED if node in self._added else None

    def _one(self, node: NodeId) -> Listed:
        return next(listed for listed in self.listed() if listed.status.node_id == node)

    def _write(self, added: dict[NodeId, PeerAddress]) -> None:
        document = {"version": _VERSION, "peers": [str(address) for address in added.values()]}
        draft = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        try:
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(json.dumps(document, indent=2) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(self._path)
            except OSError:
                draft.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise HomeError(f"{self._path} cannot be written: {error.strerror or error}") from error


def _read(path: Path) -> list[PeerAddress]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["version"] != _VERSION:
            raise HomeError(f"{path} is of version {document['version']!r}, and this lnrecur reads version {_VERSION}")
        return [parse_address(text) for text in document["peers"]]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HomeError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, UsageError, RecursionError) as error:
        told = "mend it, or remove it and add the peers again with `lnrecur peers add`"
        raise HomeError(f"{path} does not hold peers ({error}): {told}") from error
