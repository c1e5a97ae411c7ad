"""What a subscriber is asked about a running subscription, in words, before answering (V8).

Everything is told that a yes leads to: of one payment its amount, its period and the limit that it breaks; of a new
offer what changes, and then all that is told of a new subscription.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lnrecur.bolt12 import Offer, Recurrence
from lnrecur.cli.authorisation import Authorisation
from lnrecur.cli.mandates import mandate_in_words, mandate_of, times
from lnrecur.cli.moments import local_time
from lnrecur.cli.output import printable
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_terms import Missed, PayAt, Terms, Trigger
from lnrecur.recurrence.words import amount_in_words, duration_in_words, price_in_words, recurrence_in_words

Told = Mapping[str, Any]
Facts = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Question:
    """A heading, what is asked in names and values, and the question itself."""

    heading: str
    facts: Facts
    ask: str


def question_about(told: Told, changes: Mapping[str, Any], *, paid_elsewhere: bool) -> Question:
    """What a subscription that waits asks, as the API tells it; `changes` of its limits come with the yes."""
    if told["waits_for"] == "new_offer":
        return _new_offer(told, changes)
    return Question("You are asked", [*_subscription(told), *_WAITS[told["waits_for"]](told, changes, paid_elsewhere)],
                    _ASK[told["waits_for"]])  # fmt: skip


def _subscription(told: Told) -> Facts:
    facts = [
        ("for", printable(told["description"] or "(the offer does not say)")),
        ("terms", printable(told["terms"])),
        ("payment", f"number {told['next_counter'] + 1:,}"),
    ]
    window = told["next_window"]
    if window is not None:
        facts.append(("pay window", f"from {local_time(window['opens'])} to {local_time(window['closes'])}"))
    if told["invoice_expires_at"] is not None:
        until = local_time(told["invoice_expires_at"])
        facts.append(("answer by", f"{until}: once its invoice has expired the payee may serve no more"))
    return [*facts, ("so far", f"{amount_in_words(told['total_msat'])} in {times(told['payments'])}")]


def _one_payment(told: Told, changes: Mapping[str, Any], paid_elsewhere: bool) -> Facts:
    amount, mandate = told["awaiting_msat"], mandate_of({**told["mandate"], **changes})
    facts: Facts = []
    if amount is not None:
        fees = amount_in_words(mandate.max_fee_msat(amount))
        facts.append(("you pay", f"{amount_in_words(amount)}, and at most {fees} of routing fees"))
    elif told["waits_for"] == "mandate":
        facts.append(("you pay", f"{_price(told)}: you are asked again with the amount in sat, before it is paid"))
    else:
        facts.append(("you pay", f"{_price(told)}, within your limits"))
    return [*facts, ("because", printable(told["problem"])), *_limits(told, changes)]


def _catching_up(told: Told, changes: Mapping[str, Any], paid_elsewhere: bool) -> Facts:
    missed, mandate = told["missed_periods"], mandate_of({**told["mandate"], **changes})
    limit = mandate.max_per_period_msat
    most = "" if limit is None else f", at most {amount_in_words(missed * limit)} in all"
    return [
        (
            "you pay",
            f"{missed:,} missed periods, late and in order, each at most {mandate.per_period_in_words()}{most}",
        ),
        ("because", printable(told["problem"])),
        *_limits(told, changes),
    ]


def _refused(told: Told, changes: Mapping[str, Any], paid_elsewhere: bool) -> Facts:
    yes = "counts this period as paid by another daemon with your seed, and goes on with the next one"
    return [
        ("because", printable(told["problem"])),
        ("a yes", yes if paid_elsewhere else "asks the payee once more"),
        *_limits(told, changes),
    ]


def _limits(told: Told, changes: Mapping[str, Any]) -> Facts:
    """The mandate, and what becomes of it."""
    facts = [("mandate", mandate_in_words(told["mandate"]))]
    if changes:
        return [*facts, ("from now on", mandate_in_words({**told["mandate"], **changes}))]
    return [*facts, ("from now on", "the same: this yes is for this once")]


def _price(told: Told) -> str:
    offer = Offer.from_text(told["offer"])
    if offer.amount is None:
        return "an amount of your choice"
    return price_in_words(offer.amount * (told["quantity"] or 1), offer.currency)


_WAITS: Final = {
    "mandate": _one_payment,
    "each_payment": _one_payment,
    "price": _one_payment,
    "catch_up": _catching_up,
    "refusal": _refused,
}
_ASK: Final = {
    "mandate": "Pay this?",
    "each_payment": "Pay this?",
    "price": "Pay this?",
    "catch_up": "Pay the missed periods?",
    "refusal": "Go on?",
}


def _new_offer(told: Told, changes: Mapping[str, Any]) -> Question:
    old, new = Offer.from_text(told["offer"]), Offer.from_text(told["new_offer"])
    recurrence = new.recurrence
    assert recurrence is not None, "the daemon asks about no other"
    before, after = mandate_of(told["mandate"]), mandate_of({**told["new_mandate"], **changes})
    authorisation = Authorisation(new, recurrence, after, _terms(told), time.time_ns() // 10**9)
    facts = [
        ("until now", printable(recurrence_in_words(old))),
        *_changes(old, new, recurrence, told["quantity"] or 1),
        *_growing(before, after),
        ("so far", f"{amount_in_words(told['total_msat'])} in {times(told['payments'])}"),
        *authorisation.facts(),
    ]
    return Question("The payee has put a new offer in the place of yours", facts, "Subscribe to the new offer?")


def _changes(old: Offer, new: Offer, recurrence: Recurrence, quantity: int) -> Facts:
    facts = []
    if (old.amount, old.currency) != (new.amount, new.currency):
        facts.append(("price", f"{_offered(old, quantity)} until now, {_offered(new, quantity)} from now on"))
    every = [duration_in_words(one.unit, one.period) for one in (old.recurrence, recurrence) if one is not None]
    if len(set(every)) > 1:
        facts.append(("period", f"{every[0]} until now, {every[1]} from now on"))
    if old.issuer_id != new.issuer_id:
        facts.append(("MIND", "its invoices are signed by another key than those so far"))
    return facts


def _offered(offer: Offer, quantity: int) -> str:
    return "your choice" if offer.amount is None else price_in_words(offer.amount * quantity, offer.currency)


def _growing(before: Mandate, after: Mandate) -> Facts:
    """The limit per period is that of the new price; what was paid counts for the others."""
    if before.per_period_in_words() == after.per_period_in_words():
        return []
    return [
        ("limit", f"{before.per_period_in_words()} per period until now, {after.per_period_in_words()} from now on")
    ]


def _terms(told: Told) -> Terms:
    return Terms(
        trigger=Trigger(told["trigger"]),
        missed=Missed(told["missed"]),
        quantity=told["quantity"],
        pay_at=PayAt(told["pay_at"]),
        margin_s=told["margin_s"],
        ask_if_price_differs=told["ask_if_price_differs"],
        give_up_after_s=told["give_up_after_s"],
    )
