"""The reader rules of BOLT 12 and of recurrence that one message alone can break.

Each rule has its home here: an id, one sentence, and the check, which answers None or the breach. O and D are of
RECURRENCE.md; BO (offers), BR (invoice requests) and BI (invoices) number the MUSTs of merged BOLT 12 in our own order.
Rules that need more than the message (what was paid before, the time, the request an invoice answers) live with the
state machines in `recurrence/` and with `invoice.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lnrecur.bolt12 import fields
from lnrecur.bolt12.errors import Breach, RuleBroken
from lnrecur.bolt12.fields import Field
from lnrecur.bolt12.message import Bolt12Message

M = TypeVar("M", bound=Bolt12Message)

Check = Callable[[M], Breach | None]
"""Answers None, or what is wrong."""

_NAME_CHARACTERS = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.")
_MPP_BITS = 3 << 16
_TIME_UNITS = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Rule(Generic[M]):
    """One rule: its id, what it says, and the check."""

    id: str
    text: str
    check: Check[M]


def enforce(rules: Iterable[Rule[M]], message: M) -> None:
    """Check rules in order.

    Raises:
        RuleBroken: the first rule that is broken.
    """
    broken = first_broken(rules, message)
    if broken is not None:
        raise RuleBroken(*broken)


def first_broken(rules: Iterable[Rule[M]], message: M) -> tuple[str, Breach] | None:
    """The first rule that is broken, by its id, and how; None where all are kept."""
    for rule in rules:
        breach = rule.check(message)
        if breach is not None:
            return rule.id, breach
    return None


def unknown_even_bit(features: bytes, known: int = 0) -> int | None:
    """The lowest even feature bit that is set and not in the bitmap `known`, None where there is none."""
    even = int.from_bytes(b"\x55" * len(features), "big")
    unknown = int.from_bytes(features, "big") & even & ~known
    return (unknown & -unknown).bit_length() - 1 if unknown else None


def _breach(message: Bolt12Message, field: Field[Any], told: str, suggested: bytes | None = None) -> Breach:
    return Breach(told, field.name, message.number(field), suggested)


def _range(inside: Callable[[int], bool], told: str) -> Callable[[Bolt12Message], Breach | None]:
    def check(message: Bolt12Message) -> Breach | None:
        if len(message.values) == len(message.stream.records):  # all are known, and a known number is inside
            return None
        for record in message.stream.records:
            if not inside(record.type):
                return Breach(f"field {record.type} is outside the ranges {told}", number=record.type)
        return None

    return check


def _features(field: Field[bytes], known: int = 0) -> Callable[[Bolt12Message], Breach | None]:
    def check(message: Bolt12Message) -> Breach | None:
        features = message.values.get(field.name)
        bit = unknown_even_bit(features, known) if features else None
        if bit is None:
            return None
        return _breach(message, field, f"unknown even feature bit {bit}: it must be understood, and we do not")

    return check


def _hops(field: Field[Any]) -> Callable[[Bolt12Message], Breach | None]:
    def check(message: Bolt12Message) -> Breach | None:
        for index, path in enumerate(message.values.get(field.name, ())):
            if not path.hops:
                return _breach(message, field, f"path {index} has no hops")
        return None

    return check


def _needs(field: Field[Any], needed: Field[Any]) -> Callable[[Bolt12Message], Breach | None]:
    def check(message: Bolt12Message) -> Breach | None:
        if message.has(field) and not message.has(needed):
            return _breach(message, needed, f"missing, though {field.name} is set")
        return None

    return check


def _present(field: Field[Any]) -> Callable[[Bolt12Message], Breach | None]:
    def check(message: Bolt12Message) -> Breach | None:
        return None if message.has(field) else _breach(message, field, "missing")

    return check


def _reachable(message: Bolt12Message) -> Breach | None:
    if message.has(fields.OFFER_ISSUER_ID) or message.has(fields.OFFER_PATHS):
        return None
    told = "missing, and offer_paths too: nobody could be asked for an invoice"
    return _breach(message, fields.OFFER_ISSUER_ID, told if message.stream.records else f"the offer is empty: {told}")


def _priced(message: Bolt12Message) -> Breach | None:
    if message.values.get(fields.OFFER_AMOUNT.name) != 0:
        return None
    currency = message.values.get(fields.OFFER_CURRENCY.name, "msat")
    return _breach(message, fields.OFFER_AMOUNT, f"0 {currency[:20]}: must be greater than 0")


def _not_empty(field: Field[Any]) -> Callable[[Bolt12Message], Breach | None]:
    def check(message: Bolt12Message) -> Breach | None:
        if message.has(field) and not message.values[field.name]:
            return _breach(message, field, "present but empty")
        return None

    return check


def _currency(message: Bolt12Message) -> Breach | None:
    currency = message.values.get(fields.OFFER_CURRENCY.name)
    if currency is None or (len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()):
        return None
    return _breach(message, fields.OFFER_CURRENCY, f"an ISO 4217 code is three capital letters, not {currency[:20]!r}")


def _above_zero(field: Field[int]) -> Callable[[Bolt12Message], Breach | None]:
    def check(message: Bolt12Message) -> Breach | None:
        if message.values.get(field.name) == 0:
            return _breach(message, field, "must be greater than 0")
        return None

    return check


def _recurrence(message: Bolt12Message) -> Any:
    compulsory = message.values.get(fields.OFFER_RECURRENCE_COMPULSORY.name)
    return compulsory or message.values.get(fields.OFFER_RECURRENCE_OPTIONAL.name)


def _recurrence_field(message: Bolt12Message) -> Field[Any]:
    compulsory = fields.OFFER_RECURRENCE_COMPULSORY
    return compulsory if message.has(compulsory) else fields.OFFER_RECURRENCE_OPTIONAL


def _one_kind(message: Bolt12Message) -> Breach | None:
    if message.has(fields.OFFER_RECURRENCE_COMPULSORY) and message.has(fields.OFFER_RECURRENCE_OPTIONAL):
        return _breach(
            message, fields.OFFER_RECURRENCE_OPTIONAL, "stands beside offer_recurrence_compulsory: only one may"
        )
    return None


def _optional_base(message: Bolt12Message) -> Breach | None:
    if message.has(fields.OFFER_RECURRENCE_OPTIONAL) and message.has(fields.OFFER_RECURRENCE_BASE):
        return _breach(message, fields.OFFER_RECURRENCE_BASE, "stands beside offer_recurrence_optional: it may not")
    return None


def _unit(message: Bolt12Message) -> Breach | None:
    recurrence = _recurrence(message)
    if recurrence is None or recurrence.time_unit in _TIME_UNITS:
        return None
    told = f"time_unit {recurrence.time_unit} is none of 0 (seconds), 1 (days), 2 (months)"
    return _breach(message, _recurrence_field(message), told)


def _period(message: Bolt12Message) -> Breach | None:
    recurrence = _recurrence(message)
    if recurrence is None or recurrence.period > 0:
        return None
    return _breach(message, _recurrence_field(message), "a period of 0 units never passes; it must be greater than 0")


def _orphans(message: Bolt12Message) -> Breach | None:
    if _recurrence(message) is not None:
        return None
    for field in (fields.OFFER_RECURRENCE_BASE, fields.OFFER_RECURRENCE_PAYWINDOW, fields.OFFER_RECURRENCE_LIMIT):
        if message.has(field):
            return _breach(message, field, "needs offer_recurrence_compulsory or offer_recurrence_optional")
    return None


def _proportional(message: Bolt12Message) -> Breach | None:
    base = message.values.get(fields.OFFER_RECURRENCE_BASE.name)
    if base is None or base.proportional_amount in (0, 1):
        return None
    return _breach(
        message, fields.OFFER_RECURRENCE_BASE, f"proportional_amount is 0 or 1, not {base.proportional_amount}"
    )


def _bip353(message: Bolt12Message) -> Breach | None:
    name = message.values.get(fields.INVREQ_BIP_353_NAME.name)
    if name is None or _NAME_CHARACTERS.issuperset(name.name + name.domain):
        return None
    return _breach(message, fields.INVREQ_BIP_353_NAME, "name and domain hold only letters, digits, '-', '_' and '.'")


def _payinfos(message: Bolt12Message) -> Breach | None:
    paths = message.values[fields.INVOICE_PATHS.name]
    infos = message.values[fields.INVOICE_BLINDEDPAY.name]
    if len(paths) == len(infos):
        return None
    return _breach(message, fields.INVOICE_BLINDEDPAY, f"{len(infos)} payinfos for {len(paths)} invoice_paths")


def _usable(message: Bolt12Message) -> Breach | None:
    infos = message.values[fields.INVOICE_BLINDEDPAY.name]
    if any(unknown_even_bit(info.features) is None for info in infos):
        return None
    return _breach(message, fields.INVOICE_BLINDEDPAY, "every path has an unknown even feature bit: none can be used")


RECURRENCE_RULES: tuple[Rule[Any], ...] = (
    Rule("O1", "exactly one of offer_recurrence_compulsory and offer_recurrence_optional", _one_kind),
    Rule("O2", "an optional recurrence has no base", _optional_base),
    Rule("O3", "time_unit is 0, 1 or 2", _unit),
    Rule("O4", "the period is greater than 0", _period),
    Rule("O5", "the limit is greater than 0", _above_zero(fields.OFFER_RECURRENCE_LIMIT)),
    Rule("O6", "base, paywindow and limit stand only beside a recurrence", _orphans),
    Rule("O10", "proportional_amount is 0 or 1", _proportional),
)

OFFER_RULES: tuple[Rule[Any], ...] = (
    Rule("BO1", "an offer's fields are 1 to 79 and 1000000000 to 1999999999",
         _range(fields.in_offer_range, "of an offer (1 to 79 and 1000000000 to 1999999999)")),
    Rule("BO2", "unknown even feature bits are not answered", _features(fields.OFFER_FEATURES)),
    Rule("BO3", "offer_chains, where present, names a chain", _not_empty(fields.OFFER_CHAINS)),
    Rule("BO4", "an amount needs a description", _needs(fields.OFFER_AMOUNT, fields.OFFER_DESCRIPTION)),
    Rule("BO5", "a currency needs an amount", _needs(fields.OFFER_CURRENCY, fields.OFFER_AMOUNT)),
    Rule("BO6", "offer_issuer_id or offer_paths tells whom to ask", _reachable),
    Rule("BO7", "every path of offer_paths has a hop", _hops(fields.OFFER_PATHS)),
    Rule("BO8", "offer_amount is greater than 0", _priced),
    Rule("BO9", "offer_currency is an ISO 4217 code", _currency),
    Rule("BO10", "offer_paths, where present, holds a path", _not_empty(fields.OFFER_PATHS)),
    *RECURRENCE_RULES,
)  # fmt: skip

INVOICE_REQUEST_RULES: tuple[Rule[Any], ...] = (
    Rule("BR1", "invreq_metadata is present", _present(fields.INVREQ_METADATA)),
    Rule("BR2", "invreq_payer_id is present", _present(fields.INVREQ_PAYER_ID)),
    Rule("BR3", "a request's fields are 0 to 159 and 1000000000 to 2999999999, signatures aside",
         _range(lambda number: fields.in_invreq_range(number) or fields.is_signature(number),
                "of an invoice request (0 to 159 and 1000000000 to 2999999999)")),
    Rule("BR4", "unknown even feature bits are refused", _features(fields.INVREQ_FEATURES)),
    Rule("BR5", "every path of invreq_paths has a hop", _hops(fields.INVREQ_PATHS)),
    Rule("BR6", "BIP 353 names hold only their allowed characters", _bip353),
)  # fmt: skip

INVOICE_RULES: tuple[Rule[Any], ...] = (
    Rule("BI1", "invoice_amount is present", _present(fields.INVOICE_AMOUNT)),
    Rule("BI2", "invoice_created_at is present", _present(fields.INVOICE_CREATED_AT)),
    Rule("BI3", "invoice_payment_hash is present", _present(fields.INVOICE_PAYMENT_HASH)),
    Rule("BI4", "invoice_node_id is present", _present(fields.INVOICE_NODE_ID)),
    Rule("BI5", "unknown even feature bits are refused", _features(fields.INVOICE_FEATURES, _MPP_BITS)),
    Rule("BI6", "invoice_paths is present", _present(fields.INVOICE_PATHS)),
    Rule("BI7", "invoice_paths is not empty", _not_empty(fields.INVOICE_PATHS)),
    Rule("BI8", "every path of invoice_paths has a hop", _hops(fields.INVOICE_PATHS)),
    Rule("BI9", "invoice_blindedpay is present", _present(fields.INVOICE_BLINDEDPAY)),
    Rule("BI10", "one payinfo per path", _payinfos),
    Rule("BI12", "one path at least has no unknown even feature bit", _usable),  # BI11 compares: invoice.py
)
