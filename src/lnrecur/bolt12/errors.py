"""What a reader or writer of BOLT 12 messages says when a rule is broken."""

from __future__ import annotations

from dataclasses import dataclass

from lnrecur.errors import Fault, LnrecurError


@dataclass(frozen=True, slots=True)
class Breach:
    """One broken rule: what is wrong, in which field, and what would have been right."""

    told: str
    field: str | None = None
    number: int | None = None
    suggested: bytes | None = None
    """A value for the field that would be accepted, in its wire form, where we know one."""


class Bolt12Error(LnrecurError):
    """A BOLT 12 message breaks a rule.

    Attributes:
        rule: the id of the rule: O, Q, V, T of RECURRENCE.md, or BO, BR, BI, BE of merged BOLT 12 (`rules.py`).
        breach: what is wrong, and where.
    """

    fault = Fault.PEER

    def __init__(self, rule: str, breach: Breach) -> None:
        place = ""
        if breach.field is not None:
            place = f"{breach.field}: " if breach.number is None else f"{breach.field} ({breach.number}): "
        super().__init__(f"{place}{breach.told} [{rule}]")
        self.rule = rule
        self.breach = breach

    def details(self) -> dict[str, str | int]:
        """Rule and field."""
        found: dict[str, str | int] = {"rule": self.rule}
        if self.breach.field is not None:
            found["field"] = self.breach.field
        if self.breach.number is not None:
            found["tlv_type"] = self.breach.number
        return found


class FieldMalformed(Bolt12Error):
    """A field's bytes are not of its form.

    Attributes:
        offset: where the field's record begins in the message.
    """

    def __init__(self, breach: Breach, offset: int) -> None:
        super().__init__(
            "BOLT 1", Breach(f"{breach.told}, in the record at offset {offset}", breach.field, breach.number)
        )
        self.offset = offset

    def details(self) -> dict[str, str | int]:
        """Rule, field and offset."""
        return {**super().details(), "offset": self.offset}


class RuleBroken(Bolt12Error):
    """The message can be read but must not be answered or paid."""


class NotSigned(Bolt12Error):
    """The signature is missing or was not made by the key it should be of."""


class WritingError(Bolt12Error):
    """We were asked to write a message that would break a rule."""

    fault = Fault.CALLER
