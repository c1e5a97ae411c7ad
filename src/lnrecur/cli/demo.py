"""lnrecur demo: a merchant and three subscribers, as four real daemons, from offer to agreeing books.

Everything is real but the money: separate processes, real TCP and onion messages between them, a database each, and one
file of play money. A pays all four periods, B cancels after two, and C's mandate is too small, so C is asked and pays
nothing.
"""

from __future__ import annotations

import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click

from lnrecur.cli.demo_books import Book, compare, print_books
from lnrecur.cli.demo_daemons import DemoDaemon
from lnrecur.cli.interrupts import interrupts_held
from lnrecur.cli.output import json_option, make_console, print_json
from lnrecur.errors import Fault, LnrecurError
from lnrecur.recurrence.words import amount_in_words
from lnrecur.values import MSAT_PER_SAT, Msat

PRICE: Final = Msat(1000 * MSAT_PER_SAT)
SMALL_MANDATE: Final = Msat(500 * MSAT_PER_SAT)
PAYMENTS: Final = 4
PERIOD_S: Final = 3
TIMEOUT_S: Final = 40.0
_LOOK_S: Final = 0.2
OFFER: Final = {
    "description": "Coffee, a cup every three seconds",
    "amount_msat": PRICE,
    "blinded": True,
    "recurrence": {
        "unit": "seconds", "period": PERIOD_S, "payments": PAYMENTS, "seconds_before": 3, "seconds_after": 30,
    },
}  # fmt: skip
EXPECTED: Final = {"A": ("completed", PAYMENTS), "B": ("cancelled", 2), "C": ("needs_approval", 0)}
"""How each subscriber's story ends: the phase, and the number of payments."""


class DemoFailed(LnrecurError):
    """The demo did not go as it must."""

    fault = Fault.OURS


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the folder with databases, seeds and logs behind.")
@json_option
def demo(keep: bool, as_json: bool) -> None:
    """Show a subscription from offer to fourth payment, with play money, in about 15 seconds.

    Exits with 0 only if the books of both sides agree.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    with ExitStack() as cleanup:
        with interrupts_held():
            folder = Path(tempfile.mkdtemp(prefix="lnrecur-demo-"))
            if not keep:
                cleanup.callback(_remove, folder)
        story = _Story(folder, quiet=as_json)
        cleanup.callback(story.stop)
        books = story.run()
    agree = all(book.agrees for book in books)
    if as_json:
        print_json({"agree": agree, "books": [book.shape() for book in books]})
    else:
        print_books(make_console(), books)
        click.echo()
        click.echo("The books agree." if agree else "THE BOOKS DO NOT AGREE.")
        if keep:
            click.echo(f"Everything is in {folder}.")
    if not agree:
        raise DemoFailed("the books of payee and payers do not agree")


class _Story:
    """Four daemons, and what happens between them."""

    def __init__(self, folder: Path, *, quiet: bool) -> None:
        money = folder / "play-money.sqlite"
        self._merchant = DemoDaemon("merchant", folder / "merchant", money)
        self._subscribers = {name: DemoDaemon(name, folder / f"subscriber-{name}", money) for name in EXPECTED}
        self._ids: dict[str, str] = {}
        self._names: dict[str, str] = {}
        """Subscribers by their payer_id, and by the id the merchant has for their subscription."""
        self._quiet = quiet
        self._began = time.monotonic()

    def run(self) -> list[Book]:
        """Tell the whole story; answers the books of each subscriber beside the merchant's."""
        self._say("", "starting four daemons with play money (worth nothing), each with its own seed and database")
        daemons = [self._merchant, *self._subscribers.values()]
        for daemon in daemons:
            daemon.start()
        for daemon in daemons:
            daemon.wait_until_up()
        self._subscribe()
        self._watch()
        return compare(self._merchant, self._subscribers, self._ids, EXPECTED)

    def stop(self) -> None:
        """Stop all daemons."""
        for daemon in (self._merchant, *self._subscribers.values()):
            daemon.stop()

    def _subscribe(self) -> None:
        offer = self._merchant.client.post("/v1/offers", OFFER)
        self._say("merchant", f"publishes {offer['offer'][:40]}...")
        self._say("", offer["terms"])
        for name, daemon in self._subscribers.items():
            limit = SMALL_MANDATE if name == "C" else PRICE
            mandate = {"max_per_period_msat": limit}
            body = {"offer": offer["offer"], "mandate": mandate, "via": [offer["peer_address"]]}
            subscribed = daemon.client.post("/v1/subscriptions", body)
            self._ids[name] = subscribed["id"]
            self._names[subscribed["payer_id"]] = name
            self._say(name, f"subscribes, once and for all periods: at most {amount_in_words(limit)} each")

    def _watch(self) -> None:
        """Show what happens, let B cancel after two payments, and wait for everybody's end."""
        until = time.monotonic() + TIMEOUT_S
        cancelled = False
        while not self._is_over():
            if time.monotonic() > until:
                raise DemoFailed(f"the story has not ended after {TIMEOUT_S:.0f} seconds")
            for daemon in (self._merchant, *self._subscribers.values()):
                for event in daemon.news():
                    self._show(daemon.name, event)
            if not cancelled and self._state("B")["payments"] >= EXPECTED["B"][1]:
                self._subscribers["B"].client.post(f"/v1/subscriptions/{self._ids['B']}/cancel")
                cancelled = True
            time.sleep(_LOOK_S)
        for daemon in (self._merchant, *self._subscribers.values()):
            for event in daemon.news():
                self._show(daemon.name, event)

    def _is_over(self) -> bool:
        ends = all(self._state(name)["phase"] == phase for name, (phase, _) in EXPECTED.items())
        inbound = self._merchant.client.get("/v1/subscriptions", role="payee")["subscriptions"]
        phases = sorted(state["phase"] for state in inbound)
        return ends and phases == sorted(phase for phase, payments in EXPECTED.values() if payments)

    def _state(self, name: str) -> Any:
        return self._subscribers[name].client.get(f"/v1/subscriptions/{self._ids[name]}")

    def _show(self, who: str, event: dict[str, Any]) -> None:
        told = _TOLD.get(event["name"])
        if told is None:
            return
        data = dict(event["data"])
        if isinstance(amount := data.get("amount_msat"), int):
            data["amount"] = amount_in_words(Msat(amount))
        if isinstance(counter := data.get("counter"), int):
            data["number"] = counter + 1
        if who == "merchant":
            data["name"] = self._subscriber_of(event["subscription"])
        self._say(who, told[who == "merchant"].format(**data))

    def _subscriber_of(self, subscription: str) -> str:
        if subscription not in self._names:
            known = self._merchant.client.get(f"/v1/subscriptions/{subscription}")
            self._names[subscription] = self._names[known["payer_id"]]
        return self._names[subscription]

    def _say(self, who: str, told: str) -> None:
        if told and not self._quiet:
            click.echo(f"{time.monotonic() - self._began:6.1f} s  {who:<9} {told}")


_TOLD: Final[dict[str, tuple[str, str]]] = {
    "subscription.requested": ("asks for the invoice of payment {number}", ""),
    "payment.started": ("checks the invoice and pays {amount}", ""),
    "payment.claimable": ("", "payment {number} of {name} has arrived and is claimed"),
    "subscription.created": ("has the preimage: payment {number} is made", "books payment {number} of {name}"),
    "subscription.renewed": ("has the preimage: payment {number} is made", "books payment {number} of {name}"),
    "subscription.completed": ("is done: {payments} payments", "{name} is complete: {payments} payments"),
    "subscription.cancel_asked": ("CANCELS; the payee will be told when the next payment would be due", ""),
    "subscription.cancelled": ("tells the payee, and it is over", "hears that {name} has cancelled"),
    "subscription.needs_approval": ("NEEDS APPROVAL, nothing is paid: {why}", ""),
    "subscription.request_refused": ("is refused: {why}", ""),
    "subscription.payment_failed": ("payment {number} failed: {why}", ""),
    "subscription.unreachable": ("cannot reach the payee: {why}", ""),
    "subscription.missed": ("missed payment {number}: {why}", ""),
}
"""Events in words: as a subscriber tells them, and as the merchant does (empty: not told)."""


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
