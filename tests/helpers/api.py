"""The daemon's HTTP API on a real socket, over real services whose world is in memory."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from lnrecur.adapters.router import StaticRouter
from lnrecur.crypto.keys import PrivateKey
from lnrecur.daemon.config import Settings
from lnrecur.daemon.http.app import build_app
from lnrecur.service.assembly import Parts, Services
from lnrecur.service.keyring import Keyring
from lnrecur.testing.memory_node import MemoryLedger, MemoryMoneyNode
from lnrecur.testing.memory_store import MemoryRecurrenceManager
from lnrecur.testing.network import MemoryNetwork
from lnrecur.testing.seeded_entropy import SeededEntropy
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST, RecurrenceId

TOKEN = "a-token-of-a-test-0123456789abcdef"
NOW = 1_800_000_000
"""2027-01-15 08:00:00 UTC."""
PEER = f"{PrivateKey(bytes([0x62]) * 32).point.hex()}@127.0.0.1:9737"


@dataclass
class Api:
    """One node's API. Its scheduler does not run: what is due happens when a test calls `wake`."""

    services: Services
    clock: VirtualClock
    port: int
    http: httpx.Client
    stopping: threading.Event

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.http.get(path, params=query)

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return self.http.post(path, json={} if body is None else body)

    def offer(self, **changes: Any) -> dict[str, Any]:
        """Create an offer: 1,000 sat a day, unless told otherwise."""
        body = {"amount_msat": 1_000_000, "description": "coffee", "recurrence": {"unit": "days", "period": 1}}
        answer = self.post("/v1/offers", {**body, **changes})
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def subscribe(self, offer: str, **changes: Any) -> dict[str, Any]:
        """Subscribe, with a mandate of 1,000 sat per period unless told otherwise."""
        body = {"offer": offer, "mandate": {"max_per_period_msat": 1_000_000}}
        answer = self.post("/v1/subscriptions", {**body, **changes})
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def wake(self, subscription: dict[str, Any]) -> None:
        """Let what is due of a subscription happen."""
        self.services.payer.wake(RecurrenceId(bytes.fromhex(subscription["id"])))

    def raw(self, data: bytes) -> bytes:
        """Send these very bytes on a connection of their own; answers all that comes until the server closes it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            found = b""
            while piece := connection.recv(65536):
                found += piece
        return found


def services_in_memory(clock: VirtualClock, manager: MemoryRecurrenceManager | None = None) -> Services:
    """A node whose store, money and peers are in memory."""
    keyring = Keyring.derive(b"\x42" * 32)
    parts = Parts(
        manager=MemoryRecurrenceManager() if manager is None else manager,
        node=MemoryMoneyNode(MemoryLedger(), keyring.money, clock),
        link=MemoryNetwork().link(keyring.node_id),
        router=StaticRouter(),
        clock=clock,
        entropy=SeededEntropy(7),
        chain=REGTEST,
    )
    return Services(keyring, parts)


@contextmanager
def serving(services: Services, clock: VirtualClock) -> Iterator[Api]:
    """Serve the API of a node on a free port, in a thread of its own."""
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # head and body of an answer are sent one by one
    port: int = bound.getsockname()[1]
    stopping = threading.Event()
    app = build_app(services, Settings(), TOKEN, PEER, stopping.is_set)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", access_log=False, server_header=False))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([bound])), daemon=True)
    thread.start()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=20) as http:
        yield Api(services, clock, port, http, stopping)
    server.should_exit = True
    thread.join(10)
    bound.close()
