"""Is this the right answer? Every answer says one of the things below, and the case says which one and how.

Numbers that follow from the rules must be equal. What an implementation may decide for itself is bounded, not fixed: an
invoice may expire sooner than its window, a request may be sent at any time inside it, and an implementation that knows
rules by other names says only that it refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from lnrecur.bolt12 import InvoiceRequest, Offer
from lnrecur.errors import LnrecurError

Told = Mapping[str, Any]

KINDS: Final = (
    "seconds_since_epoch", "window", "amount_msat", "accepted", "invoice", "silent", "pay", "request", "wait_until",
    "nothing", "invoice_error", "refused",
)  # fmt: skip
"""What an answer can say; exactly one of them."""


def complaint(given: Told, expect: Told, answer: Told) -> str | None:
    """What is wrong with an answer; None if it is right."""
    said = [kind for kind in KINDS if kind in answer]
    if len(said) != 1:
        return f"the answer says {' and '.join(said) or 'nothing that is asked for'}"
    [wanted] = expect
    judge = _JUDGES.get(wanted)
    if judge is not None:
        return judge(given, expect[wanted], answer)
    if said[0] != wanted:
        return f"{wanted} expected, the answer says {said[0]}"
    return None if _same(expect[wanted], answer[wanted]) else f"{wanted} is not the same"


def _same(one: Any, other: Any) -> bool:
    """Equality in which true is not 1."""
    return type(one) is type(other) and bool(one == other)


def _refused(given: Told, rule: str, answer: Told) -> str | None:
    said = answer.get("refused")
    if said is True or said == rule:
        return None
    return f"a refusal by {rule} expected" + (f", not by {said}" if "refused" in answer else "")


def _silent(given: Told, wanted: Told, answer: Told) -> str | None:
    """A cancel is never answered (Q18); a request that is not ours to answer may be refused as well."""
    if wanted["recorded"] is False and answer.get("refused"):
        return None
    said = answer.get("silent")
    if not isinstance(said, Mapping):
        return "no answer to the payer was expected"
    recorded = said.get("recorded", wanted["recorded"])
    return None if recorded is wanted["recorded"] else f"recorded: {wanted['recorded']} expected"


def _part(name: str, *optional: str) -> Callable[[Told, Told, Told], str | None]:
    """A judge of an object: every value equal; those that are optional may be left out."""

    def judge(given: Told, wanted: Told, answer: Told) -> str | None:
        said = answer.get(name)
        if not isinstance(said, Mapping):
            return f"{name} expected"
        for key, value in wanted.items():
            if key in optional and key not in said:
                continue
            if key not in said or not _same(value, said[key]):
                return f"{name}: {key} should be {value}"
        return None

    return judge


def _accepted(given: Told, wanted: Told, answer: Told) -> str | None:
    """A reader that says no more than that it takes the offer is believed."""
    if answer.get("accepted") is True:
        return None
    return _part("accepted", *wanted)(given, wanted, answer)


def _invoice(given: Told, wanted: Told, answer: Told) -> str | None:
    fixed = {name: wanted[name] for name in ("amount_msat", "basetime")}
    told = _part("invoice")(given, fixed, answer)
    if told is not None:
        return told
    expires_at = answer["invoice"].get("expires_at")
    if type(expires_at) is not int or not given["now"] <= expires_at <= wanted["expires_at_most"]:
        return f"invoice: expires_at should lie between now and {wanted['expires_at_most']} (V3)"
    return None


def _wait(given: Told, wanted: Told, answer: Told) -> str | None:
    until = answer.get("wait_until")
    if type(until) is int and wanted["from"] <= until < wanted["before"]:
        return None
    return f"wait_until expected, from {wanted['from']} and before {wanted['before']}"


def _request(given: Told, wanted: Told, answer: Told) -> str | None:
    """The message itself: read, verified, compared with the offer it answers and with what it should say."""
    try:
        request = InvoiceRequest.from_bytes(bytes.fromhex(answer["request"])).verify_signature()
    except (KeyError, TypeError, ValueError) as error:
        return f"a request in hex expected: {error}"
    except LnrecurError as error:
        return f"the request is invalid: {error}"
    if request.offer_records() != Offer.from_bytes(bytes.fromhex(given["offer"])).stream.records:
        return "the request does not mirror the offer"
    prev_state = request.prev_state
    said = {
        "counter": request.counter,
        "start": request.start,
        "cancel": request.is_cancel,
        "quantity": request.quantity,
        "prev_state": None if prev_state is None else prev_state.hex(),
        "dialect": request.dialect,
    }
    if request.is_cancel:  # Q6: a cancel may leave it out
        said["quantity"] = wanted["quantity"]
    for name, value in wanted.items():
        if said[name] != value:
            return f"request: {name} should be {value}, not {said[name]}"
    return None


_JUDGES: Final[Mapping[str, Callable[[Told, Any, Told], str | None]]] = {
    "refused": _refused,
    "silent": _silent,
    "accepted": _accepted,
    "window": _part("window"),
    "invoice": _invoice,
    "pay": _part("pay", "basetime"),
    "request": _request,
    "wait": _wait,
    "invoice_error": _part("invoice_error", "text"),
}
