"""What can be wrong with an onion, with what is in it, and with a path we are asked to build."""

from __future__ import annotations

from typing import ClassVar

from lnrecur.errors import Fault, LnrecurError


class OnionError(LnrecurError):
    """Root of this room's errors."""

    fault: ClassVar[Fault] = Fault.PEER


class OnionUnreadable(OnionError):
    """An onion that is not for this key, or was changed on its way: version, length, key or HMAC do not fit."""


class BlindedDataUnreadable(OnionError):
    """What was encrypted for a hop of a blinded path does not open: another key, another path key, or changed."""


class PayloadInvalid(OnionError):
    """The inside of an onion, or of a hop's data, says what BOLT 4 forbids.

    Attributes:
        tlv_type: the number of the TLV record concerned, where it is about one.
    """

    def __init__(self, reason: str, *, tlv_type: int | None = None) -> None:
        super().__init__(reason if tlv_type is None else f"TLV type {tlv_type}: {reason}")
        self.tlv_type = tlv_type

    def details(self) -> dict[str, str | int]:
        """The TLV type, where it is known."""
        return {} if self.tlv_type is None else {"tlv_type": self.tlv_type}


class ConstraintBroken(OnionError):
    """A payment asks a hop for what the path's maker did not allow: too small, too late."""


class PathImpossible(OnionError):
    """No such path, or onion, can be built: it would have no hops, not fit, or carry no amount at all."""

    fault: ClassVar[Fault] = Fault.CALLER
