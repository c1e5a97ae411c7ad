"""A daemon under attack: what honest peers notice of it, and what it costs the daemon.

A real daemon with default settings; attackers in a process of their own (see tests/helpers/hostile.py for what each
does), four honest peers here that ask for an invoice every 0.4 s each. First calm, then each attack by itself, then all
of them at once, then calm again; calm is the floor. Prints JSON:

    python bench/hostile_peers.py [SECONDS PER PHASE, default 3]
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers.daemons import Daemon
from helpers.hostile import ATTACKS, Honest, honest_peer, memory_kib, under_attack
from lnrecur.bolt12.offer import Offer
from lnrecur.daemon.config import Settings
from lnrecur.daemon.peer_settings import link_settings
from lnrecur.service.addresses import parse_address

HONEST = 4
PAUSE_S = 0.4


async def attack(address: str, names: list[str]) -> None:
    """What the attackers' process does until it is terminated."""
    async with under_attack(parse_address(address), *names):
        print("attacking", flush=True)
        await asyncio.sleep(3600)


@contextmanager
def attackers(address: str, names: tuple[str, ...]) -> Iterator[None]:
    if not names:
        yield
        return
    command = [sys.executable, __file__, "--attack", address, *names]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(1.0)  # until it has all it can get
        yield
    finally:
        process.kill()
        process.wait()


class Watch:
    """Looks at a process' memory all the time."""

    def __init__(self, pid: int) -> None:
        self.pid, self.peak, self._over = pid, memory_kib(pid), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self.peak = max(self.peak, memory_kib(self.pid))

    def stop(self) -> int:
        self._over.set()
        self._thread.join()
        return self.peak


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def ask(honest: Honest, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await honest.ask(10.0)
        await asyncio.sleep(PAUSE_S)


async def phase(daemon: Daemon, offer: Offer, names: tuple[str, ...], seconds: float) -> dict[str, Any]:
    assert daemon.process is not None
    pid, address = daemon.process.pid, parse_address(daemon.address)
    totals = daemon.ask("peers", "list")["totals"]
    before = memory_kib(pid)
    watch = Watch(pid)
    with attackers(daemon.address, names):
        async with AsyncExitStack() as stack:  # they come when the attack is under way
            peers = [await stack.enter_async_context(honest_peer(address, offer)) for _ in range(HONEST)]
            cpu, began = cpu_seconds(pid), time.monotonic()
            await asyncio.gather(*(ask(peer, seconds) for peer in peers))
            busy = (cpu_seconds(pid) - cpu) / (time.monotonic() - began)
    now = daemon.ask("peers", "list")["totals"]
    latencies = sorted(latency for peer in peers for latency in peer.latencies_ms)
    return {
        "asked": len(latencies) + sum(peer.unanswered for peer in peers),
        "answered": len(latencies),
        "answered_per_second": round(len(latencies) / seconds, 1),
        "latency_ms": {
            "median": round(statistics.median(latencies), 1),
            "p95": round(latencies[int(0.95 * (len(latencies) - 1))], 1),
            "most": round(latencies[-1], 1),
        },
        "daemon_cpu": round(busy, 2),
        "rss_mib": {
            "before": round(before / 1024, 1),
            "peak": round(watch.stop() / 1024, 1),
            "after": round(memory_kib(pid) / 1024, 1),
        },
        **{key: now[key] - totals[key] for key in ("messages_received", "messages_dropped", "connections_refused")},
    }


async def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(Path(folder) / "shop", Path(folder) / "money.sqlite")
        daemon.start()
        try:
            offer = Offer.from_text(daemon.ask("offer", "create", "x", "--amount", "1sat", "--every", "1d")["offer"])
            phases: dict[str, tuple[str, ...]] = {"calm": (), **{name: (name,) for name in ATTACKS}}
            phases |= {"all at once": tuple(ATTACKS), "calm again": ()}
            found = {name: await phase(daemon, offer, names, seconds) for name, names in phases.items()}
            bugs = daemon.log.count("Traceback")
        finally:
            daemon.terminate()
    bound = link_settings(Settings()).memory_max_bytes
    told = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    print(json.dumps({**told, "bound_mib": round(bound / 2**20), "bugs_logged": bugs, "phases": found}, indent=2))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--attack"]:
        asyncio.run(attack(sys.argv[2], sys.argv[3:]))
    else:
        asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0))
