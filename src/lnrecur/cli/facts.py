"""The facts of an event, for people: amounts in sat, moments in the reader's time, hashes by their beginning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lnrecur.cli.moments import local_time
from lnrecur.cli.output import printable
from lnrecur.recurrence.words import amount_in_words

_HASH_DIGITS: Final = frozenset({64, 66})
_SHOWN: Final = 12
_HEX: Final = frozenset("0123456789abcdef")


def facts_in_words(data: Mapping[str, Any]) -> str:
    """What belongs to an event, such as "counter 3, amount 1,000 sat"; what is null is left out."""
    told = dict(data)
    if isinstance(told.get("field"), str):  # a changed value is of the kind that its field names
        told |= {name: value_in_words(told["field"], told[name]) for name in ("old", "new") if name in told}
    return ", ".join(
        f"{label(name)} {value_in_words(name, value)}" for name, value in told.items() if value is not None
    )


def label(name: str) -> str:
    """A field's name for people: without what it is part of, and without its unit, which its value says."""
    return name.rpartition(".")[2].removesuffix("_msat").replace("_", " ")


def value_in_words(name: str, value: Any) -> str:
    """A value of the field of this name."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_msat") and isinstance(value, int):
        return amount_in_words(value)
    text = str(value)
    if name.endswith("_at"):
        return local_time(text)
    is_hash = len(text) in _HASH_DIGITS and set(text) <= _HEX
    return f"{text[:_SHOWN]}..." if is_hash else printable(text)
