"""What a store may say instead of an answer."""

from __future__ import annotations

from typing import ClassVar

from lnrecur.errors import Fault, LnrecurError


class StoreError(LnrecurError):
    """The store said no, or cannot be reached."""

    fault: ClassVar[Fault] = Fault.ENVIRONMENT


class StoreUnavailable(StoreError):
    """The database cannot be read or written just now; nothing was changed."""

    retry: ClassVar[bool] = True


class Conflict(StoreError):
    """Somebody else changed this subscription first; nothing was changed. Load it and step again."""

    retry: ClassVar[bool] = True


class AlreadyPaid(StoreError):
    """A settled payment for this subscription and counter, or with this payment_hash, is booked already."""

    fault: ClassVar[Fault] = Fault.OURS
