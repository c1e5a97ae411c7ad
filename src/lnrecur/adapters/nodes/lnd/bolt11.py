"""A BOLT 11 text for a payment over blinded paths: what LND's `SendPaymentV2` takes where there is a BOLT 12 invoice.

LND has no way to be handed blinded paths but a BOLT 11 invoice with fields of the type 20 (bLIP 39). Such an invoice
need not come from the payee: its signature says only who wrote it, and LND looks at no more than hash, amount, expiry,
features and paths. So we write one from the BOLT 12 invoice, signed by a key that everybody can know. It never leaves
this machine and the node, which keeps it with the payment: payment list and graphical wallets show it.

Layout of a path (LND's `zpay32/blinded_path.go`), big-endian:

    u32 fee_base_msat | u32 fee_ppm | u16 cltv_delta | u64 htlc_min | u64 htlc_max | u16 flen | flen*features
    | 33 first_path_key | u8 hops | hops * (33 node_id | BigSize len | encrypted_data)

The node_id of the first hop is the introduction node's own, not its blinded one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lnrecur.crypto.ecdsa import sign_recoverable
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.ports import PaymentPath
from lnrecur.values import BITCOIN, REGTEST, SIGNET, TESTNET, ChainHash, Msat, PaymentHash, Point, UnixSeconds
from lnrecur.wire.bigsize import encode_bigsize

_PREFIXES: Final = {BITCOIN: "lnbc", TESTNET: "lntb", SIGNET: "lntbs", REGTEST: "lnbcrt"}
_DIGITS: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)

_PAYMENT_HASH: Final = 1
_FEATURES: Final = 5
_EXPIRY: Final = 6
_DESCRIPTION: Final = 13
_BLINDED_PATH: Final = 20
DESCRIPTION_MAX: Final = 639
"""Bytes of a field's value: 1,023 digits of five bits."""
PATH_MAX: Final = 639
HOPS_MAX: Final = 7
"""LND writes and reads no longer path."""
HOP_DATA_MAX: Final = 535

_TLV_ONION: Final = 9
_PAYMENT_SECRET: Final = 15
_MPP: Final = 17
_ROUTE_BLINDING: Final = 25
MPP_COMPULSORY: Final = "16"
"""As LND's JSON names the feature."""
_THROW_AWAY: Final = PrivateKey(sha256(b"lnrecur: the key of invoices that nobody is to trust"))


def fits_bolt11(path: PaymentPath) -> bool:
    """Whether LND can be handed this path at all."""
    hops = path.path.hops
    return (
        len(hops) <= HOPS_MAX
        and all(len(hop.encrypted_recipient_data) <= HOP_DATA_MAX for hop in hops)
        and len(_path_bytes(path)) <= PATH_MAX
    )


def write_bolt11(
    *,
    chain: ChainHash,
    payment_hash: PaymentHash,
    amount_msat: Msat,
    created_at: UnixSeconds,
    expires_at: UnixSeconds,
    description: str,
    paths: Sequence[PaymentPath],
    may_split: bool,
    must_split: bool = False,
) -> str:
    """The text. Every path begins at a node id and `fits_bolt11`."""
    prefix = f"{_PREFIXES[chain]}{amount_msat * 10}p"  # p: a tenth of a millisatoshi
    features = [_TLV_ONION, _PAYMENT_SECRET, _ROUTE_BLINDING, *([_MPP - must_split] if may_split else [])]
    told = description.encode()[:DESCRIPTION_MAX].decode(errors="ignore").encode()
    data = _number(created_at, 7)
    data += _field(_PAYMENT_HASH, _digits(payment_hash))
    data += _field(_DESCRIPTION, _digits(told))
    data += _field(_EXPIRY, _number(max(expires_at - created_at, 1)))
    data += _field(_FEATURES, _number(sum(1 << bit for bit in features)))
    for path in paths:
        data += _field(_BLINDED_PATH, _digits(_path_bytes(path)))
    digest = sha256(prefix.encode(), _bytes_padded(data))
    data += _digits(sign_recoverable(digest, _THROW_AWAY))
    return f"{prefix}1" + "".join(_DIGITS[digit] for digit in data + _checksum(prefix, data))


def _path_bytes(path: PaymentPath) -> bytes:
    introduction = path.path.first_node_id
    parts = [
        path.fee_base_msat.to_bytes(4, "big"),
        path.fee_proportional_millionths.to_bytes(4, "big"),
        path.cltv_expiry_delta.to_bytes(2, "big"),
        path.htlc_minimum_msat.to_bytes(8, "big"),
        path.htlc_maximum_msat.to_bytes(8, "big"),
        bytes(2),
        path.path.first_path_key,
        bytes((len(path.path.hops),)),
    ]
    for index, hop in enumerate(path.path.hops):
        node = introduction if index == 0 and isinstance(introduction, bytes) else hop.blinded_node_id
        parts += [Point(node), encode_bigsize(len(hop.encrypted_recipient_data)), hop.encrypted_recipient_data]
    return b"".join(parts)


def _field(kind: int, digits: list[int]) -> list[int]:
    return [kind, *_number(len(digits), 2), *digits]


def _number(value: int, size: int = 0) -> list[int]:
    """Base 32, most significant first, in as many digits as it takes, or in `size`."""
    digits: list[int] = []
    while value or len(digits) < max(size, 1):
        digits.insert(0, value & 31)
        value >>= 5
    return digits


def _digits(data: bytes) -> list[int]:
    """Bytes as digits, with zero bits behind the last one."""
    count = (8 * len(data) + 4) // 5
    return _number(int.from_bytes(data, "big") << (5 * count - 8 * len(data)), count) if data else []


def _bytes_padded(digits: Sequence[int]) -> bytes:
    """What BOLT 11 signs: the digits as bytes, with zero bits up to the next whole byte."""
    size = (5 * len(digits) + 7) // 8
    number = 0
    for digit in digits:
        number = number << 5 | digit
    return (number << (8 * size - 5 * len(digits))).to_bytes(size, "big")


def _checksum(prefix: str, data: Sequence[int]) -> list[int]:
    """BIP 173's."""
    codes = prefix.encode()
    expanded = [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]
    check = _polymod([*expanded, *data, *bytes(6)]) ^ 1
    return [check >> 5 * (5 - at) & 31 for at in range(6)]


def _polymod(values: Sequence[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, factor in enumerate(_GENERATOR):
            if top >> bit & 1:
                check ^= factor
    return check
