"""A cursor over fixed-layout bytes: what the subtypes of the BOLTs are made of."""

from __future__ import annotations

from lnrecur.wire.errors import WireError


class ByteReader:
    """Reads fields one after the other and says where the bytes ran out."""

    __slots__ = ("data", "offset")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0

    def take(self, size: int, what: str) -> bytes:
        """The next `size` bytes.

        Raises:
            WireError: fewer are left; names `what` was being read.
        """
        end = self.offset + size
        if end > len(self.data):
            raise WireError(
                f"{what} takes {size} bytes, but only {len(self.data) - self.offset} are left",
                offset=self.offset,
            )
        taken = self.data[self.offset : end]
        self.offset = end
        return taken

    def integer(self, size: int, what: str) -> int:
        """The next `size` bytes as a big-endian unsigned integer."""
        return int.from_bytes(self.take(size, what), "big")

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self.data) - self.offset, "the rest")

    @property
    def exhausted(self) -> bool:
        """Whether every byte was read."""
        return self.offset == len(self.data)

    def finish(self, what: str) -> None:
        """Insist that nothing is left.

        Raises:
            WireError: bytes remain behind `what`.
        """
        if not self.exhausted:
            raise WireError(f"{len(self.data) - self.offset} bytes too many behind {what}", offset=self.offset)
