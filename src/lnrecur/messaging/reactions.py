"""What each message does to a connection, in each state in which messages can arrive: a table for `peer.py`."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from lnrecur.wire.messages import (
    ErrorMessage,
    Init,
    Message,
    OnionMessage,
    Ping,
    Pong,
    UnknownMessage,
    WarningMessage,
)


class PeerState(Enum):
    """How far a connection is."""

    HANDSHAKE = "handshake"
    AWAITING_INIT = "awaiting_init"
    READY = "ready"
    OVER = "over"


class Reaction(Enum):
    """What a message does to a session."""

    CHECK_INIT = auto()
    ANSWER_PING = auto()
    NOTE_PONG = auto()
    DELIVER = auto()
    TELL_WARNING = auto()
    LOOK_AT_CHANNEL = auto()
    LOOK_AT_TYPE = auto()
    REFUSE_FIRST = auto()
    REFUSE_SECOND_INIT = auto()


REACTIONS: Final[dict[PeerState, dict[type[Message], Reaction]]] = {
    PeerState.AWAITING_INIT: {
        Init: Reaction.CHECK_INIT,
        WarningMessage: Reaction.TELL_WARNING,
        ErrorMessage: Reaction.LOOK_AT_CHANNEL,
        Ping: Reaction.REFUSE_FIRST,
        Pong: Reaction.REFUSE_FIRST,
        OnionMessage: Reaction.REFUSE_FIRST,
        UnknownMessage: Reaction.REFUSE_FIRST,
    },
    PeerState.READY: {
        Init: Reaction.REFUSE_SECOND_INIT,
        WarningMessage: Reaction.TELL_WARNING,
        ErrorMessage: Reaction.LOOK_AT_CHANNEL,
        Ping: Reaction.ANSWER_PING,
        Pong: Reaction.NOTE_PONG,
        OnionMessage: Reaction.DELIVER,
        UnknownMessage: Reaction.LOOK_AT_TYPE,
    },
}
"""What each message does in each state in which messages can arrive."""

IGNORED_EVEN_MESSAGES: Final = {
    256: "channel_announcement",
    258: "channel_update",
    262: "reply_short_channel_ids_end",
    264: "reply_channel_range",
}
"""Gossip: known by name and of no use to us. Nodes send some of it unasked, so it is no reason to hang up."""
