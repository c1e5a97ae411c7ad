"""What payer and payee of play money decide about an HTLC: pure functions, shared with `lnrecur.testing.memory_node`.

They decide as a real node would. The payer sees a blinded path and its terms, never a path_id. The payee sees what
was handed over, decrypts it with its node key and believes nothing else: an HTLC without the right path_id, for
another amount or too late is failed back, and the payer is told the same word for all of these, so that a prober
learns nothing (BOLT 4 has one failure, `invalid_onion_blinding`, for whatever goes wrong inside a blinded path).

Here and nowhere else: no tables, no balances, no waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from lnrecur.crypto.errors import CryptoError
from lnrecur.crypto.hashes import same_bytes, sha256
from lnrecur.crypto.keys import PrivateKey, derive_secret
from lnrecur.errors import Fault
from lnrecur.onion.errors import OnionError
from lnrecur.onion.payment_path import open_final_hop
from lnrecur.ports import (
    FailureReason,
    MoneyNodeError,
    PaymentPath,
    PayOrder,
    Receivable,
    ReceivedState,
    ReceiveOrder,
    Rejected,
)
from lnrecur.values import Msat, NodeId, PaymentHash, Point, UnixSeconds
from lnrecur.wire.blinded_path import ChannelDirection
from lnrecur.wire.errors import WireError

FINAL_CLTV_DELTA: Final = 18
"""Blocks between an HTLC's arrival and its end that a payee asks for."""

OPENING_BALANCE: Final = Msat(1_000_000 * 1000)
"""What a new account is given."""

MAX_MSAT: Final = Msat(21_000_000 * 100_000_000 * 1000)
"""More than this was never there; it also fits SQLite's integers."""

_GENESIS: Final = 1_231_006_505
_BLOCK_SECONDS: Final = 600
_HASH_SIZE: Final = 32


class HtlcRefused(MoneyNodeError):
    """The payee fails an HTLC back; the text is for its own log, the payer only learns that it was refused."""

    fault: ClassVar[Fault] = Fault.PEER


class PaymentImpossible(MoneyNodeError):
    """The payer's node cannot even begin: what it tells as `Sent.reason` and `Sent.retryable`."""

    fault: ClassVar[Fault] = Fault.CALLER

    def __init__(self, message: str, reason: FailureReason, *, retryable: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.retryable = retryable


@dataclass(frozen=True, slots=True)
class Htlc:
    """What the payer's node hands to the payee's: all that a payee gets to see of a payment."""

    payment_hash: PaymentHash
    payee: NodeId
    path_key: Point
    encrypted_recipient_data: bytes
    amount_msat: Msat
    cltv_expiry: int


@dataclass(frozen=True, slots=True)
class Awaited:
    """What the payee remembers of the receivable an HTLC claims to be for."""

    state: ReceivedState
    path_id: bytes
    amount_msat: Msat
    expires_at: UnixSeconds


def block_height(now: UnixSeconds) -> int:
    """The height of the pretended chain: one block every ten minutes since Bitcoin's first."""
    return max(0, (now - _GENESIS) // _BLOCK_SECONDS)


def is_expired(expires_at: UnixSeconds, now: UnixSeconds) -> bool:
    """Whether a moment has passed; during its last second an invoice is still good (BOLT 12: "greater than")."""
    return now > expires_at


def receivable_for(node_key: PrivateKey, order: ReceiveOrder) -> Receivable:
    """What a node makes of a receive order; the same order gives the same answer.

    Raises:
        Rejected: the preimage is not 32 bytes, or the amount is not between 1 msat and 21 million bitcoin.
    """
    if len(order.preimage) != _HASH_SIZE:
        raise Rejected(f"a preimage takes {_HASH_SIZE} bytes, here are {len(order.preimage)}")
    _check_amount(order.amount_msat)
    payment_hash = PaymentHash(sha256(order.preimage))
    path_id = derive_secret(node_key.secret, "play money path_id", payment_hash)
    return Receivable(payment_hash, path_id, FINAL_CLTV_DELTA)


def check_not_expired(order: ReceiveOrder, now: UnixSeconds) -> None:
    """Refuse to begin with what is over.

    Raises:
        Rejected: the order has expired.
    """
    if is_expired(order.expires_at, now):
        raise Rejected(f"the receive order expired at {order.expires_at}, it is {now}")


def check_pay_order(order: PayOrder) -> None:
    """Refuse what no node would even record.

    Raises:
        Rejected: no payment_hash of 32 bytes, or an amount that cannot be.
    """
    if len(order.payment_hash) != _HASH_SIZE:
        raise Rejected(f"a payment_hash takes {_HASH_SIZE} bytes, here are {len(order.payment_hash)}")
    _check_amount(order.amount_msat)


def plan_htlc(
    order: PayOrder, *, balance_msat: Msat, now: UnixSeconds, has_account: Callable[[NodeId], bool]
) -> tuple[Htlc, Msat]:
    """The HTLC that pays an order, and the part of its amount that is a fee.

    Only paths of one hop can be walked with play money: from the payer straight to the payee, who stands at the
    introduction point under its own name. If such a path asks for a fee, the payee gets it.

    Raises:
        PaymentImpossible: EXPIRED; NO_ROUTE (no path of one hop to an account we know); OTHER (the amount is outside
            the path's limits); FEE_LIMIT; INSUFFICIENT_FUNDS.
    """
    if is_expired(order.expires_at, now):
        raise PaymentImpossible(
            f"the invoice expired at {order.expires_at}, it is {now}", FailureReason.EXPIRED, retryable=False
        )
    chosen, payee = _choose_path(order, has_account)
    if not chosen.htlc_minimum_msat <= order.amount_msat <= chosen.htlc_maximum_msat:
        raise PaymentImpossible(
            f"{order.amount_msat} msat is outside the path's limits, "
            f"{chosen.htlc_minimum_msat} to {chosen.htlc_maximum_msat}",
            FailureReason.OTHER,
            retryable=False,
        )
    fee = Msat(chosen.fee_base_msat + order.amount_msat * chosen.fee_proportional_millionths // 1_000_000)
    if fee > order.max_fee_msat:
        raise PaymentImpossible(
            f"the path asks for a fee of {fee} msat, {order.max_fee_msat} is the limit",
            FailureReason.FEE_LIMIT,
            retryable=False,
        )
    total = Msat(order.amount_msat + fee)
    if total > balance_msat:
        raise PaymentImpossible(
            f"{total} msat is more than the {balance_msat} msat of play money here",
            FailureReason.INSUFFICIENT_FUNDS,
            retryable=True,
        )
    hop = chosen.path.hops[0]
    cltv_expiry = block_height(now) + chosen.cltv_expiry_delta
    htlc = Htlc(order.payment_hash, payee, chosen.path.first_path_key, hop.encrypted_recipient_data, total, cltv_expiry)
    return htlc, fee


def check_htlc(htlc: Htlc, awaited: Awaited | None, node_key: PrivateKey, now: UnixSeconds) -> None:
    """The payee's decision: return to hold the HTLC, raise to fail it back.

    Raises:
        HtlcRefused: nothing is awaited under this payment_hash, it was paid or withdrawn, it has expired, the
            encrypted data is not ours or carries another path_id, its constraints forbid the HTLC, or the amount is
            below what is awaited or above twice that (BOLT 4).
    """
    if awaited is None:
        raise HtlcRefused("nothing is awaited under this payment_hash")
    if awaited.state is not ReceivedState.OPEN:
        raise HtlcRefused(f"the receivable is {awaited.state}")
    if is_expired(awaited.expires_at, now):
        raise HtlcRefused(f"the receivable expired at {awaited.expires_at}, it is {now}")
    if has_timed_out(htlc.cltv_expiry, now):
        raise HtlcRefused(f"the HTLC ended at block {htlc.cltv_expiry}, this is {block_height(now)}")
    _check_encrypted_data(htlc, awaited.path_id, node_key)
    if not awaited.amount_msat <= htlc.amount_msat <= 2 * awaited.amount_msat:
        raise HtlcRefused(f"{htlc.amount_msat} msat arrived where {awaited.amount_msat} is awaited")


def has_timed_out(cltv_expiry: int, now: UnixSeconds) -> bool:
    """Whether the payer may take back an HTLC that the payee has not looked at."""
    return block_height(now) >= cltv_expiry


def _check_encrypted_data(htlc: Htlc, path_id: bytes, node_key: PrivateKey) -> None:
    try:
        opened = open_final_hop(node_key, htlc.path_key, htlc.encrypted_recipient_data)
        if opened.constraints is not None:
            opened.constraints.admit(htlc.amount_msat, htlc.cltv_expiry)
    except (OnionError, WireError, CryptoError) as error:
        raise HtlcRefused(f"the end of the blinded path: {error}") from error
    if not same_bytes(opened.path_id, path_id):
        raise HtlcRefused("the path_id is not the one of this receivable")


def _choose_path(order: PayOrder, has_account: Callable[[NodeId], bool]) -> tuple[PaymentPath, NodeId]:
    for candidate in order.paths:
        introduction = candidate.path.first_node_id
        if isinstance(introduction, ChannelDirection) or len(candidate.path.hops) != 1:
            continue
        if has_account(NodeId(introduction)):
            return candidate, NodeId(introduction)
    raise PaymentImpossible(
        "no path of one hop leads to an account of this play money", FailureReason.NO_ROUTE, retryable=True
    )


def _check_amount(amount: Msat) -> None:
    if not 0 < amount <= MAX_MSAT:
        raise Rejected(f"an amount is between 1 and {MAX_MSAT} msat, here is {amount}")
