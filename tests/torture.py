"""Kill random daemons at random times for some minutes, and see whether any promise breaks.

    python tests/torture.py --minutes 5 [--seed 1]

A merchant (one messaging process and two workers over PostgreSQL) sells to three payers: one like itself, two with a
SQLite file each. Subscriptions are made all the time. Processes are killed with SIGKILL, their play-money nodes with
them, or stopped for longer than their lease and let go again; files may not grow for a while; the database server
crashes now and then, or stands still. In the end all are left in peace, every subscription has to complete, and P1 to
P6 are checked from outside. What was done is printed as JSON; the exit code is 0 if nothing was broken.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from helpers.daemons import Daemon, Worker
from helpers.disks import no_file_grows_beyond
from helpers.postgresql import PostgresServer, postgres_server
from helpers.promises import Promised, breaches, unknown_payments
from lnrecur.errors import LnrecurError

PRICE_SAT = 1000
PAYMENTS = 5
OPEN_MAX = 3
"""Subscriptions that one payer has going on."""
PEACE_S = 240
WINDOW = ("--pay-before", "1s", "--pay-after", "3600s")
AT_ONCE = {"first_delay_s": 1, "factor": 2, "cap_s": 5, "jitter_percent": 50}


@dataclass
class Party:
    """A node: its daemon, its workers, and what it has subscribed to."""

    daemon: Daemon
    workers: list[Worker] = field(default_factory=list)
    going_on: list[Promised] = field(default_factory=list)
    completed: list[Promised] = field(default_factory=list)

    @property
    def processes(self) -> list[Daemon | Worker]:
        return [self.daemon, *self.workers]


class Torture:
    """Everybody, and what was done to them."""

    def __init__(self, folder: Path, server: PostgresServer, seed: int) -> None:
        self._chance = random.Random(seed)
        self._server = server
        self._money = folder / "money.sqlite"
        self.done: Counter[str] = Counter()
        self.breaches: list[str] = []
        self.merchant = self._party(folder / "merchant", shared=True)
        self.payers = [self._party(folder / f"payer-{number}", shared=number == 0) for number in range(3)]
        self.parties = [self.merchant, *self.payers]

    def _party(self, folder: Path, *, shared: bool) -> Party:
        if not shared:
            return Party(Daemon(folder, self._money))
        daemon = Daemon(folder, self._money, database=self._server.url(self._server.new_database()), role="messaging")
        return Party(daemon, [Worker(daemon, f"worker-{number}") for number in range(2)])

    def start(self) -> None:
        for party in self.parties:
            for process in party.processes:
                process.start()
        offer = ("--amount", f"{PRICE_SAT}sat", "--every", "1s", "--payments", str(PAYMENTS), *WINDOW)
        self._offer = self.merchant.daemon.ask("offer", "create", "a thing", *offer)["offer"]

    def kill_all(self) -> None:
        for party in self.parties:
            for process in party.processes:
                process.kill()

    def go_on(self, minutes: float) -> None:
        until = time.monotonic() + 60 * minutes
        while time.monotonic() < until:
            for payer in self.payers:
                self._settle(payer)
                if len(payer.going_on) < OPEN_MAX:
                    self._subscribe(payer)
            time.sleep(self._chance.uniform(0.0, 1.5))
            self._strike()

    def _strike(self) -> None:
        dice = self._chance.random()
        victim = self._chance.choice([process for party in self.parties for process in party.processes])
        if dice < 0.04:
            self._server.crash()
            self.done["database crashes"] += 1
            time.sleep(self._chance.uniform(0.0, 2.0))
            self._server.start()
        elif dice < 0.07:
            self._server.stand_still()
            self.done["database hangs"] += 1
            time.sleep(self._chance.uniform(0.0, 10.0))
            self._server.go_on()
        elif dice < 0.13 and victim.process is not None and victim.process.poll() is None:
            with suppress(ProcessLookupError), no_file_grows_beyond(victim.process.pid, 20_000):
                self.done["full disks"] += 1
                time.sleep(self._chance.uniform(0.0, 5.0))
        elif dice < 0.24 and isinstance(victim, Worker) and victim.process is not None:
            victim.process.send_signal(signal.SIGSTOP)
            self.done["stops"] += 1
            time.sleep(self._chance.uniform(0.0, 5.0))
            victim.process.send_signal(signal.SIGCONT)
        else:
            victim.kill()
            self.done["kills"] += 1
            time.sleep(self._chance.choice((0.0, 0.0, self._chance.uniform(0.0, 2.0))))
            self._raise(victim)

    def _raise(self, process: Daemon | Worker) -> None:
        process.start()
        self.done["restarts"] += 1

    def raise_fallen(self) -> None:
        """Start what ended by itself because it had no database when it started."""
        for party in self.parties:
            for process in party.processes:
                if process.process is None or process.process.poll() is not None:
                    self.done["ended by themselves"] += 1
                    self._raise(process)

    def _subscribe(self, payer: Party) -> None:
        order = {
            "offer": self._offer,
            "mandate": {"max_per_period_msat": PRICE_SAT * 1000},
            "via": [self.merchant.daemon.address],
            "jitter_s": 0,
            "request_retry": AT_ONCE,
            "payment_retry": AT_ONCE,
        }
        try:
            subscription = payer.daemon.order("/v1/subscriptions", order)["id"]
        except (LnrecurError, httpx.HTTPError):
            return  # its database is away
        payer.going_on.append(Promised(subscription, PAYMENTS, PRICE_SAT * 1000))
        self.done["subscriptions"] += 1

    def _settle(self, payer: Party) -> None:
        """Note which subscriptions have completed; they are checked when everything is quiet."""
        for promised in list(payer.going_on):
            try:
                phase = payer.daemon.subscription(promised.subscription)["phase"]
            except (LnrecurError, httpx.HTTPError):
                return
            if phase != "completed":
                continue
            payer.going_on.remove(promised)
            payer.completed.append(promised)

    def make_peace(self) -> None:
        """Wait until every subscription has completed, and check all."""
        until = time.monotonic() + PEACE_S
        while any(payer.going_on for payer in self.payers) and time.monotonic() < until:
            self.raise_fallen()
            for payer in self.payers:
                self._settle(payer)
            time.sleep(0.5)
        for payer in self.payers:
            self.breaches += [f"{one.subscription} did not complete" for one in payer.going_on]
            for promised in payer.completed:
                found = breaches(self.merchant.daemon, payer.daemon, promised)
                self.breaches += [f"{promised.subscription}: {told}" for told in found]
                self.done["payments"] += promised.payments
            if not payer.going_on:
                subscriptions = [promised.subscription for promised in payer.completed]
                self.breaches += unknown_payments(payer.daemon, self._money, subscriptions)
        for party in self.parties:
            for process in party.processes:
                if "Traceback" in process.log:
                    self.breaches.append(f"a traceback in the log of {party.daemon.folder.name}")


def torture(minutes: float, seed: int) -> dict[str, object]:
    with postgres_server() as server, tempfile.TemporaryDirectory(prefix="lnrecur-torture-") as folder:
        story = Torture(Path(folder), server, seed)
        try:
            story.start()
            story.go_on(minutes)
            story.make_peace()
        finally:
            story.kill_all()
        return {"minutes": minutes, "seed": seed, **story.done, "breaches": story.breaches}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    result = torture(asked.minutes, asked.seed)
    print(json.dumps(result, indent=2))
    sys.exit(1 if result["breaches"] else 0)
