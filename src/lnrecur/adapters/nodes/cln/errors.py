"""What can be wrong between us and Core Lightning. A person reads `trouble` in words through `lnrecur doctor`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from lnrecur.errors import Fault
from lnrecur.ports import MoneyNodeError, Unavailable

MINIMUM_VERSION = "24.11"


class Trouble(StrEnum):
    """Why lightningd does not do what it is asked. None of these says anything about a payment: ask again later."""

    NO_SOCKET = "no_socket"
    """There is no lightning-rpc where we look."""
    UNREACHABLE = "unreachable"
    """Nobody listens behind the socket, it did not answer in time, or the connection broke."""
    NOT_PERMITTED = "not_permitted"
    """The socket belongs to another user."""
    STOPPING = "stopping"
    """lightningd is on its way down, or the plugin that was asked ended."""
    TOO_OLD = "too_old"
    """It lacks a command: an older version, or a plugin of Core Lightning that is switched off."""
    NOT_SYNCED = "not_synced"
    """It does not know the newest blocks."""
    WRONG_CHAIN = "wrong_chain"
    """It is a node of another chain than our settings say."""
    NO_CLN = "no_cln"
    """What answers there does not speak as lightningd does."""


class ClnUnavailable(Unavailable):
    """lightningd did not act on what it was asked, or may not have."""

    trouble: Trouble

    def __init__(self, trouble: Trouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble

    def details(self) -> dict[str, str | int]:
        """The trouble, as one word."""
        return {"trouble": self.trouble.value}


class ClnRefused(MoneyNodeError):
    """lightningd understood and said no: its code, its words and whatever else it told.

    Codes are those of common/jsonrpc_errors.h. Those that decisions hang on have a name here.
    """

    fault: ClassVar[Fault] = Fault.NODE
    INVALID_PARAMS: ClassVar[int] = -32602
    UNKNOWN_COMMAND: ClassVar[int] = -32601
    PLUGIN_TERMINATED: ClassVar[int] = -4
    SHUTTING_DOWN: ClassVar[int] = -5
    LABEL_EXISTS: ClassVar[int] = 900
    PREIMAGE_EXISTS: ClassVar[int] = 901
    WAIT_TIMED_OUT: ClassVar[int] = 904
    NO_SUCH_INVOICE: ClassVar[int] = 905
    INVOICE_STATUS: ClassVar[int] = 906

    def __init__(self, method: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{message} (Core Lightning's {method}, code {code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data

    def details(self) -> dict[str, str | int]:
        """What was asked, and the code."""
        return {"method": self.method, "code": self.code}
