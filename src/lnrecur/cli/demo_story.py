"""The demo's story: the daemons, and what their people do when something has happened to them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from lnrecur.cli.demo_books import Book
from lnrecur.cli.demo_cast import (
    CANCELS_AFTER,
    CAST,
    MOVED,
    OFFERS,
    OFFLINE_S,
    PRICE,
    Subscriber,
)
from lnrecur.cli.demo_daemons import DemoDaemon
from lnrecur.cli.demo_words import in_words
from lnrecur.errors import Fault, LnrecurError
from lnrecur.recurrence.words import amount_in_words

TIMEOUT_S: Final = 60.0
_LOOK_S: Final = 0.2


class DemoFailed(LnrecurError):
    """The demo did not go as it must."""

    fault = Fault.OURS


class Story:
    """A merchant and subscribers, each a daemon of its own, from the first offer to the last payment."""

    def __init__(self, folder: Path, *, quiet: bool) -> None:
        money = folder / "play-money.sqlite"
        self._merchant = DemoDaemon("merchant", folder / "merchant", money)
        self._daemons = {one.name: DemoDaemon(one.name, folder / f"subscriber-{one.name}", money) for one in CAST}
        self._offers: dict[str, Any] = {}
        self._subscribed: list[tuple[Subscriber, str]] = []
        """Everybody's subscriptions, by the id on their own side."""
        self._names: dict[str, str] = {}
        """Subscribers by their payer_id, and by the id the merchant has for their subscription."""
        self._to_do: list[Callable[[], bool]] = [
            self._b_cancels, self._c_approves, self._d_goes_offline, self._tea_gets_dearer, self._e_approves,
        ]  # fmt: skip
        """What is still to happen, each tried until it has."""
        self._offline_until: float | None = None
        self._quiet = quiet
        self._began = time.monotonic()

    def run(self) -> list[Book]:
        """Tell the whole story; answers the books of each subscription beside the merchant's.

        Raises:
            DemoFailed: it does not come to its end.
        """
        daemons = [self._merchant, *self._daemons.values()]
        self._say("", f"starting {len(daemons)} daemons with play money (worth nothing), each with its own seed")
        for daemon in daemons:
            daemon.start()
        for daemon in daemons:
            daemon.wait_until_up()
        for name in ("coffee", "bread", "tea"):
            self._publish(name)
        for one in CAST:
            self._subscribe(one)
        until = time.monotonic() + TIMEOUT_S
        while not self._is_over():
            if time.monotonic() > until:
                raise DemoFailed(f"the story has not ended after {TIMEOUT_S:.0f} seconds")
            self._tell_news()
            self._to_do = [act for act in self._to_do if not act()]
            time.sleep(_LOOK_S)
        self._tell_news()
        return self._books()

    def stop(self) -> None:
        """Stop all daemons."""
        for daemon in (self._merchant, *self._daemons.values()):
            daemon.stop()

    # --- what people do ----------------------------------------------------------------------------------------------

    def _publish(self, name: str) -> None:
        offer = self._offers[name] = self._merchant.client.post("/v1/offers", OFFERS[name])
        self._say("merchant", f"publishes {offer['offer'][:24]}...  {offer['terms']}")

    def _subscribe(self, one: Subscriber) -> None:
        offer = self._offers[one.offer]
        body = {"offer": offer["offer"], "mandate": {"max_per_period_msat": one.mandate_msat},
                "via": [offer["peer_address"]], **one.extra}  # fmt: skip
        self._note(one, self._daemons[one.name].client.post("/v1/subscriptions", body))
        limit = amount_in_words(one.mandate_msat)
        self._say(one.name, f"subscribes to {one.offer}, once and for all periods: at most {limit} each")

    def _note(self, one: Subscriber, state: Any) -> None:
        self._subscribed.append((one, state["id"]))
        self._names[state["payer_id"]] = one.name

    def _b_cancels(self) -> bool:
        return self._state("B")["payments"] >= CANCELS_AFTER and self._order("B", "cancel")

    def _c_approves(self) -> bool:
        """C's mandate was too small; C agrees to the real price, from now on."""
        state = self._state("C")
        agreed = {"question": state["question"], "mandate": {"max_per_period_msat": PRICE}}
        return state["phase"] == "needs_approval" and self._order("C", "approve", agreed)

    def _d_goes_offline(self) -> bool:
        if self._offline_until is None:
            if not self._state("D")["payments"]:
                return False
            self._say("D", "is SWITCHED OFF for a while")
            self._tell_news()
            self._daemons["D"].stop()
            self._offline_until = time.monotonic() + OFFLINE_S
        if time.monotonic() < self._offline_until:
            return False
        self._offline_until = None
        self._daemons["D"].start()
        self._daemons["D"].wait_until_up()
        self._say("D", "is on again")
        return True

    def _tea_gets_dearer(self) -> bool:
        if not self._state("E")["payments"]:
            return False
        self._publish("dearer tea")
        old, new = self._offers["tea"]["offer_id"], self._offers["dearer tea"]["offer_id"]
        self._merchant.client.post(f"/v1/offers/{old}/replace", {"successor": new})
        self._say("merchant", "REPLACES the tea by the dearer tea")
        return True

    def _e_approves(self) -> bool:
        """E is shown the new terms and agrees: the old subscription ends, one to the new offer begins."""
        state = self._state("E")
        if state["new_offer"] is None or state["phase"] != "needs_approval":
            return False
        agreed = {"question": state["question"]}
        self._note(MOVED, self._daemons["E"].client.post(f"/v1/subscriptions/{state['id']}/approve", agreed))
        return True

    def _order(self, name: str, order: str, body: dict[str, Any] | None = None) -> bool:
        self._daemons[name].client.post(f"/v1/subscriptions/{self._state(name)['id']}/{order}", body)
        return True

    # --- what is known -----------------------------------------------------------------------------------------------

    def _state(self, name: str) -> Any:
        """How a subscriber's first subscription stands."""
        subscription = next(subscription for one, subscription in self._subscribed if one.name == name)
        return self._daemons[name].client.get(f"/v1/subscriptions/{subscription}")

    def _is_over(self) -> bool:
        if self._to_do:
            return False
        endings = [one.ending for one, _ in self._subscribed]
        phases = [
            self._daemons[one.name].client.get(f"/v1/subscriptions/{subscription}")["phase"]
            for one, subscription in self._subscribed
        ]
        inbound = self._merchant.client.get("/v1/subscriptions", role="payee")["subscriptions"]
        theirs = sorted(state["phase"] for state in inbound)
        return phases == [end.phase for end in endings] and theirs == sorted(end.payee_phase for end in endings)

    def _books(self) -> list[Book]:
        """A subscriber is the same on both sides if its payer_id is."""
        inbound = self._merchant.client.get("/v1/subscriptions", role="payee")["subscriptions"]
        by_payer = {state["payer_id"]: state["id"] for state in inbound}
        books = []
        for one, subscription in self._subscribed:
            ours = self._daemons[one.name].client.get(f"/v1/subscriptions/{subscription}")
            theirs_id = by_payer.get(ours["payer_id"])
            theirs = [] if theirs_id is None else self._merchant.client.get(f"/v1/subscriptions/{theirs_id}")["book"]
            books.append(Book(one, ours["phase"], ours["book"], theirs))
        return books

    # --- what is told ------------------------------------------------------------------------------------------------

    def _tell_news(self) -> None:
        for daemon in (self._merchant, *self._daemons.values()):
            if daemon.is_up:
                for event in daemon.news():
                    self._tell(daemon, event)

    def _tell(self, daemon: DemoDaemon, event: dict[str, Any]) -> None:
        by_merchant = daemon is self._merchant
        subscriber = self._subscriber_of(event) if by_merchant else daemon.name
        self._say(daemon.name, in_words(event, by_merchant=by_merchant, subscriber=subscriber))

    def _subscriber_of(self, event: dict[str, Any]) -> str:
        subscription = event.get("subscription")
        if subscription is None:
            return ""
        if subscription not in self._names:
            known = self._merchant.client.get(f"/v1/subscriptions/{subscription}")
            self._names[subscription] = self._names[known["payer_id"]]
        return self._names[subscription]

    def _say(self, who: str, told: str) -> None:
        if told and not self._quiet:
            click.echo(f"{time.monotonic() - self._began:6.1f} s  {who:<9} {told}")
