"""lnrecur daemons whose money is moved by real lnd nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lnd_network import Lnd

from helpers.daemons import Daemon
from lnrecur.adapters.nodes.lnd.permissions import bake_command


class LndDaemon(Daemon):
    """A daemon in a folder of its own, over one lnd; set up with `lnrecur init --lnd` as a user does."""

    def __init__(self, folder: Path, lnd: Lnd, *settings: str, peers: tuple[str, ...] = ()) -> None:
        self.lnd = lnd
        flags = ["--lnd", lnd.url, "--lnd-macaroon", str(baked(lnd)), "--lnd-cert", str(lnd.certificate)]
        super().__init__(folder, [*flags, *(f"--peer={peer}" for peer in peers)], *settings)

    def events(self, name: str) -> list[dict[str, Any]]:
        """All events of a name."""
        return [event for event in self._client.get("/v1/events", limit=1000)["events"] if event["name"] == name]


def baked(lnd: Lnd) -> Path:
    """The macaroon of docs/nodes/lnd.md, baked with lncli: what lnrecur may do, and nothing else."""
    file = lnd.folder / "lnrecur.macaroon"
    if not file.exists():
        command = bake_command(str(file)).replace("\\\n", " ").split()
        assert command.pop(0) == "lncli"
        lnd.cli(*command)
    return file
