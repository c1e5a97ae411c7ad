"""What can be wrong between us and LND. A person reads `trouble` in words through `lnrecur doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import ClassVar

from lnrecur.errors import Fault
from lnrecur.ports import MoneyNodeError, Unavailable


class Trouble(StrEnum):
    """Why LND does not do what it is asked. None of these says anything about a payment: ask again once it is over."""

    UNREACHABLE = "unreachable"
    """Nobody listens, or the connection broke."""
    WRONG_CERTIFICATE = "wrong_certificate"
    """Who answers is not the node of the tls.cert we have, or we have none."""
    WRONG_MACAROON = "wrong_macaroon"
    """LND does not know this macaroon, or there is none."""
    NOT_PERMITTED = "not_permitted"
    """LND knows the macaroon, but it does not allow this."""
    LOCKED = "locked"
    """The wallet waits for its password."""
    STARTING = "starting"
    """LND is on its way up."""
    NOT_SYNCED = "not_synced"
    """LND does not know the newest blocks."""
    WRONG_CHAIN = "wrong_chain"
    """It is a node of another chain than our settings say."""
    NOT_BUILT_IN = "not_built_in"
    """This LND lacks a part that its releases have."""
    NO_LND = "no_lnd"
    """What answers there does not speak as LND does."""


class LndUnavailable(Unavailable):
    """LND did not act on what it was asked, or may not have."""

    trouble: Trouble

    def __init__(self, trouble: Trouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble

    def details(self) -> dict[str, str | int]:
        """The trouble, as one word."""
        return {"trouble": self.trouble.value}


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Around the reading of an answer: whatever is not there, or not as LND writes it, is LndUnavailable.

    Raises:
        LndUnavailable: it cannot be read, so that nothing follows from it.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        told = f"{what} cannot be read: {type(error).__name__} {error}"
        raise LndUnavailable(Trouble.NO_LND, told) from error


class LndRefused(MoneyNodeError):
    """LND understood and said no: its own words, with the number of gRPC's status."""

    fault: ClassVar[Fault] = Fault.NODE
    NOT_FOUND: ClassVar[int] = 5
    ALREADY_EXISTS: ClassVar[int] = 6

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    def details(self) -> dict[str, str | int]:
        """The status, as gRPC numbers it."""
        return {"grpc_code": self.code}
