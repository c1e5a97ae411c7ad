"""Blinded paths for payments (BOLT 4): built by us, from public keys and the terms of the hops alone.

The payer learns one set of terms for the whole path, never those of a single hop. Each hop's own terms, and the
constraints that bound the life of the path, are sealed in its data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.blinding import blind_path, pad_alike, unblind
from lnrecur.onion.errors import PathImpossible, PayloadInvalid
from lnrecur.onion.payloads import EncryptedData, PaymentConstraints, PaymentRelay
from lnrecur.values import ZERO_MSAT, Msat, NodeId, Point, ShortChannelId
from lnrecur.wire.blinded_path import BlindedPath
from lnrecur.wire.integers import U16_MAX, U32_MAX

_MILLION: Final = 1_000_000
ALL_MONEY_MSAT: Final = Msat(21_000_000 * 100_000_000 * 1000)
"""The upper bound of a path that has none of its own."""


@dataclass(frozen=True, slots=True)
class RelayTerms:
    """A hop before the receiver, and the terms on which it forwards over its channel towards the receiver."""

    node: NodeId
    short_channel_id: ShortChannelId
    fee_base_msat: Msat
    fee_proportional_millionths: int
    cltv_expiry_delta: int
    htlc_minimum_msat: Msat
    htlc_maximum_msat: Msat


@dataclass(frozen=True, slots=True)
class AggregatedTerms:
    """What the whole path costs and takes: BOLT 12's blinded_payinfo. The bounds are about the amount received."""

    fee_base_msat: Msat
    fee_proportional_millionths: int
    cltv_expiry_delta: int
    htlc_minimum_msat: Msat
    htlc_maximum_msat: Msat


@dataclass(frozen=True, slots=True)
class FinalHop:
    """What the receiver reads at the end of a payment path."""

    path_id: bytes
    constraints: PaymentConstraints | None


def build_payment_path(
    session_key: PrivateKey,
    receiver: Point | NodeId,
    path_id: bytes,
    hops: Sequence[RelayTerms] = (),
    *,
    max_cltv: int,
    htlc_minimum: Msat,
    final_cltv_delta: int,
) -> tuple[BlindedPath, AggregatedTerms]:
    """Build a payment path to `receiver`.

    Args:
        session_key: fresh for each path.
        receiver: the node that the payment ends at.
        path_id: the secret by which the receiver knows the payment.
        hops: the hops before it, the introduction node first; empty where the receiver is its own introduction.
        max_cltv: the block height beyond which a payment may not expire at the receiver. Each hop before gets what
            it and those behind it take on top.
        htlc_minimum: the smallest amount the receiver takes; the path's is the largest of all.
        final_cltv_delta: blocks the receiver needs; the payer sees it only within the path's sum.

    Raises:
        PathImpossible: terms that do not fit their fields, or a path that could carry no amount.
        InvalidPoint: a node id is not on the curve.
    """
    terms = aggregate(hops, htlc_minimum=htlc_minimum, final_cltv_delta=final_cltv_delta)
    constraints = PaymentConstraints(_fits(max_cltv, U32_MAX, "max_cltv_expiry"), terms.htlc_minimum_msat)
    data = [EncryptedData(path_id=path_id, payment_constraints=constraints)]
    for hop in reversed(hops):
        max_cltv = _fits(max_cltv + hop.cltv_expiry_delta, U32_MAX, "max_cltv_expiry")
        data.append(_relay_data(hop, PaymentConstraints(max_cltv, terms.htlc_minimum_msat)))
    nodes = [*(hop.node for hop in hops), receiver]
    padded = pad_alike([one.to_bytes() for one in reversed(data)])
    return blind_path(session_key, list(zip(nodes, padded, strict=True))), terms


def aggregate(
    hops: Sequence[RelayTerms], *, htlc_minimum: Msat = ZERO_MSAT, final_cltv_delta: int = 0
) -> AggregatedTerms:
    """The terms of a path over `hops`, the introduction node first, by BOLT 4's formula.

    Raises:
        PathImpossible: the sums do not fit blinded_payinfo, or the path could carry no amount.
    """
    base, proportional, delta = 0, 0, final_cltv_delta
    minimum, maximum = int(htlc_minimum), int(ALL_MONEY_MSAT)
    for hop in reversed(hops):
        # What this hop forwards is what arrives plus the fees behind it, so its maximum bounds less than itself. Its
        # minimum is taken whole: then it holds at every hop, and no fee tells which hop had asked for it.
        maximum = min(maximum, (hop.htlc_maximum_msat - base) * _MILLION // (_MILLION + proportional))
        minimum = max(minimum, hop.htlc_minimum_msat)
        rate = hop.fee_proportional_millionths
        base = _divided(hop.fee_base_msat * _MILLION + base * (_MILLION + rate))
        proportional = _divided((proportional + rate) * _MILLION + proportional * rate)
        delta += hop.cltv_expiry_delta
    if maximum < max(minimum, 1):
        raise PathImpossible(f"the path takes {minimum} msat at the least and {max(maximum, 0)} msat at the most")
    return AggregatedTerms(
        Msat(_fits(base, U32_MAX, "fee_base_msat")),
        _fits(proportional, U32_MAX, "fee_proportional_millionths"),
        _fits(delta, U16_MAX, "cltv_expiry_delta"),
        Msat(minimum),
        Msat(maximum),
    )


def open_final_hop(node_key: PrivateKey, path_key: Point, encrypted: bytes) -> FinalHop:
    """Read, as the receiver, the data of the last hop of a payment path.

    The caller compares path_id with the payment's and asks the constraints to `admit` it.

    Args:
        node_key: the receiver's.
        path_key: the one that reached the receiver; `first_path_key` where the path has one hop.
        encrypted: the last hop's encrypted_recipient_data.

    Raises:
        InvalidPoint: the path key is not on the curve.
        BlindedDataUnreadable: not sealed for this node and path key.
        WireError, PayloadInvalid: the data is malformed, was written for another place of a path, has features or
            has no path_id.
    """
    data = EncryptedData.from_bytes(unblind(node_key, path_key, encrypted).data)
    data.require_no_features()
    data.require_recipient()
    if data.path_id is None:
        raise PayloadInvalid("path_id is missing: this path is not one of ours", tlv_type=6)
    return FinalHop(data.path_id, data.payment_constraints)


def _relay_data(hop: RelayTerms, constraints: PaymentConstraints) -> EncryptedData:
    relay = PaymentRelay(
        _fits(hop.cltv_expiry_delta, U16_MAX, "cltv_expiry_delta"),
        _fits(hop.fee_proportional_millionths, U32_MAX, "fee_proportional_millionths"),
        _fits(hop.fee_base_msat, U32_MAX, "fee_base_msat"),
    )
    return EncryptedData(
        short_channel_id=hop.short_channel_id,
        payment_relay=relay,
        payment_constraints=constraints,
    )


def _divided(numerator: int) -> int:
    """By a million, rounded up."""
    return (numerator + _MILLION - 1) // _MILLION


def _fits(value: int, maximum: int, name: str) -> int:
    if not 0 <= value <= maximum:
        raise PathImpossible(f"{name} would be {value}, and its field holds 0 to {maximum}")
    return value
