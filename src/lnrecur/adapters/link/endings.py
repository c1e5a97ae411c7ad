"""Why this side ended a connection."""

from __future__ import annotations

from typing import ClassVar

from lnrecur.errors import Fault
from lnrecur.messaging.errors import ConnectionOver


class Replaced(ConnectionOver):
    """The same node has a newer connection."""

    fault: ClassVar[Fault] = Fault.ENVIRONMENT


class LinkClosed(ConnectionOver):
    """We are going down."""

    fault: ClassVar[Fault] = Fault.ENVIRONMENT


class Forgotten(ConnectionOver):
    """This peer was to be kept and no longer is."""

    fault: ClassVar[Fault] = Fault.CALLER


class NoRoom(ConnectionOver):
    """There are as many connections as there may be, and this one was to go."""

    fault: ClassVar[Fault] = Fault.ENVIRONMENT
    tell_peer = True


class OnionFlood(ConnectionOver):
    """The peer went on sending far more onion messages than we take, after it had been warned."""

    tell_peer = True
