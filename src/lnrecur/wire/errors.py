"""What a decoder says of bytes that are not what they should be."""

from __future__ import annotations

from lnrecur.errors import Fault, LnrecurError


class WireError(LnrecurError):
    """These bytes break a rule of the encoding.

    Attributes:
        reason: the rule in one clause.
        offset: where, in bytes from the start of what was decoded (in characters for a bolt12 text).
        tlv_type: the number of the TLV record concerned, if one was read.
    """

    fault = Fault.PEER

    def __init__(self, reason: str, *, offset: int | None = None, tlv_type: int | None = None) -> None:
        place = "" if offset is None else f" at offset {offset}"
        of = "" if tlv_type is None else f"TLV type {tlv_type}: "
        super().__init__(f"{of}{reason}{place}")
        self.reason = reason
        self.offset = offset
        self.tlv_type = tlv_type

    def details(self) -> dict[str, str | int]:
        """Offset and TLV type, where they are known."""
        found: dict[str, str | int] = {}
        if self.offset is not None:
            found["offset"] = self.offset
        if self.tlv_type is not None:
            found["tlv_type"] = self.tlv_type
        return found
