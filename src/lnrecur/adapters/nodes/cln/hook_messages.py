"""What lightningd tells in its hooks, as values of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from lnrecur.crypto.errors import CryptoError
from lnrecur.crypto.keys import parse_point
from lnrecur.errors import Fault, LnrecurError
from lnrecur.messaging.messenger import ContentsKind, Delivered, MessageContents
from lnrecur.values import Msat, Point, Preimage, ShortChannelId
from lnrecur.wire.blinded_path import BlindedHop, BlindedPath, ChannelDirection
from lnrecur.wire.tlv import TlvRecord

_SCID: Final = re.compile(r"(\d{1,8})x(\d{1,8})x(\d{1,5})")
_AMOUNT: Final = re.compile(r"(\d{1,19})(msat)?")
_KINDS: Final = {
    "invoice_request": ContentsKind.INVOICE_REQUEST,
    "invoice": ContentsKind.INVOICE,
    "invoice_error": ContentsKind.INVOICE_ERROR,
}


class HookUnreadable(LnrecurError):
    """A hook does not tell what it should, or not in the form we know: a newer lightningd, perhaps."""

    fault: ClassVar[Fault] = Fault.NODE


@dataclass(frozen=True, slots=True)
class ArrivedPayment:
    """What `invoice_payment` tells: all parts of a payment are there, and the node asks whether to take it."""

    label: str
    preimage: Preimage
    amount_msat: Msat


def read_onion_message(params: Mapping[str, Any]) -> Delivered:
    """The parameters of `onion_message_recv_secret` or `onion_message_recv`.

    Raises:
        HookUnreadable: they are none.
    """
    try:
        told = params["onion_message"]
        secret, reply = told.get("pathsecret"), told.get("reply_blindedpath")
        said = [MessageContents(kind, bytes.fromhex(told[name])) for name, kind in _KINDS.items() if name in told]
        return Delivered(
            contents=said[0] if said else None,
            reply_path=None if reply is None else _path(reply),
            path_id=None if secret is None else bytes.fromhex(secret),
            addressed=None,
            unknown=tuple(
                TlvRecord.of(int(field["number"]), bytes.fromhex(field["value"]))
                for field in told.get("unknown_fields", ())
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError, CryptoError) as error:
        raise HookUnreadable(f"an onion message cannot be read: {error!r}") from error


def read_payment(params: Mapping[str, Any]) -> ArrivedPayment:
    """The parameters of `invoice_payment`. The amount is a number, or a text that ends in msat (older versions).

    Raises:
        HookUnreadable: they are none.
    """
    try:
        told = params["payment"]
        label, amount = told["label"], told.get("msat", told.get("amount_msat"))
        found = _AMOUNT.fullmatch(str(amount))
        if not isinstance(label, str) or isinstance(amount, bool) or found is None:
            raise HookUnreadable(f"a payment cannot be read: label {label!r}, amount {amount!r}")
        return ArrivedPayment(label, Preimage(bytes.fromhex(told["preimage"])), Msat(int(found[1])))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HookUnreadable(f"a payment cannot be read: {error!r}") from error


def _path(told: Mapping[str, Any]) -> BlindedPath:
    hops = [BlindedHop(_point(hop["blinded_node_id"]), bytes.fromhex(hop["encrypted_recipient_data"]))
            for hop in told["hops"]]  # fmt: skip
    return BlindedPath(_introduction(told), _point(told["first_path_key"]), tuple(hops))


def _introduction(told: Mapping[str, Any]) -> Point | ChannelDirection:
    if "first_node_id" in told:
        return _point(told["first_node_id"])
    found, direction = _SCID.fullmatch(told["first_scid"]), told["first_scid_dir"]
    if found is None or direction not in (0, 1):
        raise ValueError(f"no channel end: {told['first_scid']!r}, {direction!r}")
    block, transaction, output = map(int, found.groups())
    return ChannelDirection(ShortChannelId(block << 40 | transaction << 16 | output), int(direction))


def _point(text: str) -> Point:
    return parse_point(bytes.fromhex(text))
