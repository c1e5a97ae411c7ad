"""Paying along a blinded path that begins at ourselves: our own hops are taken off first (BOLT 4).

A payer who is the introduction node of an invoice's path cannot send itself an HTLC. It reads what the maker of the
path told it as a hop, does what that hop would do, and sends its first HTLC to the node behind:

    invoice:   us ──> B ──> payee       amount and expiry for the whole path, by blinded_payinfo
    we pay:           B ──> payee       what our own hop must forward; our own fee stays with us

The key that shares a secret with the maker is the money node's. Where that node gives no key away but computes an ECDH,
`take_off` does one step with the result; `enter` does them all with the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.blinding import open_hop
from lnrecur.onion.errors import ConstraintBroken, PathImpossible, PayloadInvalid
from lnrecur.onion.payloads import EncryptedData
from lnrecur.onion.payment_path import AggregatedTerms
from lnrecur.values import Msat, NodeId, Point, ShortChannelId
from lnrecur.wire.blinded_path import BlindedHop, BlindedPath, ChannelDirection
from lnrecur.wire.integers import U16_MAX, U32_MAX

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class PaymentEntry:
    """Where a payment enters the rest of a blinded path, and with what."""

    next_node: NodeId | ShortChannelId | ChannelDirection
    """The node that gets the HTLC, by its id or by a channel: of ours, or (at the introduction) with a direction."""
    path_key: Point
    """What that node is told: current_path_key where it is the first one, as it is the introduction of the rest."""
    hops: tuple[BlindedHop, ...]
    """That node's hop, and those behind it."""
    amount_msat: Msat
    """What arrives at that node."""
    cltv_expiry: int
    """The block height at which the HTLC that arrives there expires."""

    @property
    def is_last(self) -> bool:
        """Whether that node is the recipient."""
        return len(self.hops) == 1

    def rest(self, introduction: NodeId, delivered: Msat, height: int) -> tuple[BlindedPath, AggregatedTerms]:
        """The rest as a path of its own, for nodes that pay paths: what it costs is what this entry pays more.

        Args:
            introduction: the node id of `next_node`.
            delivered: what the payee gets.
            height: the block height that `begin` counted from.

        Raises:
            PathImpossible: less arrives than is to be delivered, or the terms do not fit blinded_payinfo.
        """
        fee, delta = self.amount_msat - delivered, self.cltv_expiry - height
        if not 0 <= fee <= U32_MAX or not 0 <= delta <= U16_MAX:
            raise PathImpossible(f"the rest of the path would cost {fee} msat and {delta} blocks")
        terms = AggregatedTerms(Msat(fee), 0, delta, delivered, delivered)
        return BlindedPath(Point(introduction), self.path_key, self.hops), terms


def begin(path: BlindedPath, terms: AggregatedTerms, delivered: Msat, height: int) -> PaymentEntry:
    """What a payment over the whole path has to bring to its introduction node.

    Args:
        path: of an invoice.
        terms: its blinded_payinfo.
        delivered: what the payee shall get, in msat.
        height: the block height to count the expiry from.

    Raises:
        PathImpossible: the path has no hops.
        ConstraintBroken: the amount is outside the path's limits.
    """
    if not path.hops:
        raise PathImpossible("the blinded path has no hops")
    if not terms.htlc_minimum_msat <= delivered <= terms.htlc_maximum_msat:
        told = f"the path takes {terms.htlc_minimum_msat} to {terms.htlc_maximum_msat} msat, not {delivered}"
        raise ConstraintBroken(told)
    fee = terms.fee_base_msat + (delivered * terms.fee_proportional_millionths + _MILLION - 1) // _MILLION
    introduction = path.first_node_id
    first = introduction if isinstance(introduction, ChannelDirection) else NodeId(introduction)
    amount, expiry = Msat(delivered + fee), height + terms.cltv_expiry_delta
    return PaymentEntry(first, path.first_path_key, path.hops, amount, expiry)


def take_off(entry: PaymentEntry, shared_secret: bytes) -> PaymentEntry:
    """Do what the first hop of an entry does, when that hop is ourselves.

    Args:
        entry: its `next_node` is us.
        shared_secret: ECDH of our node key with `entry.path_key`: SHA-256 of the compressed point, 32 bytes.

    Raises:
        PathImpossible: it is the last hop: the payment would go to ourselves.
        BlindedDataUnreadable: the hop's data was not sealed for us.
        PayloadInvalid: it names no next hop, has a path_id, a feature or an unknown even field, or no payment_relay.
        ConstraintBroken: the amount is too small or the expiry too late for this hop, or does not pay its fee.
        WireError, InvalidPoint: the data is malformed.
    """
    if entry.is_last:
        raise PathImpossible("the blinded path ends at ourselves: there is nobody to pay")
    opened = open_hop(entry.path_key, shared_secret, entry.hops[0].encrypted_recipient_data)
    data = EncryptedData.from_bytes(opened.data)
    data.require_no_features()
    next_node = data.forward_to()
    if data.payment_relay is None:
        raise PayloadInvalid("payment_relay is missing", tlv_type=10)
    if data.payment_constraints is not None:
        data.payment_constraints.admit(entry.amount_msat, entry.cltv_expiry)
    amount, expiry = data.payment_relay.forwarded(entry.amount_msat, entry.cltv_expiry)
    return PaymentEntry(
        next_node=next_node,
        path_key=data.next_path_key_override or opened.next_path_key,
        hops=entry.hops[1:],
        amount_msat=amount,
        cltv_expiry=expiry,
    )


def enter(
    entry: PaymentEntry,
    node_key: PrivateKey,
    channels: Mapping[ShortChannelId | ChannelDirection, NodeId] | None = None,
) -> PaymentEntry:
    """Take all our own hops off, as many as there are; an entry that does not begin at us comes back unchanged.

    Args:
        entry: from `begin`.
        node_key: the money node's.
        channels: which node a channel leads to, so that hops which are named by channels are known as ours. A next
            node that is named by a channel and is not in it stands in the answer as that channel.

    Raises:
        PathImpossible, BlindedDataUnreadable, PayloadInvalid, ConstraintBroken, WireError, InvalidPoint: see
            `take_off`.
    """
    own, known = NodeId(node_key.point), channels or {}
    while True:
        named = entry.next_node
        node = named if isinstance(named, bytes) else known.get(named)
        if node is None:
            return entry
        if node != own:
            return replace(entry, next_node=node) if isinstance(named, ChannelDirection) else entry
        entry = take_off(entry, node_key.ecdh(entry.path_key))
