"""Feature bits (BOLT 9): what we say of ourselves in init, and what a peer may demand of us.

BOLT 1 ends a connection over an unknown even bit, because an even bit says "you must understand this to deal with me".
Nearly all such demands are about channels. We have none and want none, so we live with every feature whose meaning is
known and refuse only bits that nobody has given a meaning: those could change how init or onion messages work.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from lnrecur.messaging.errors import UnknownRequiredFeature
from lnrecur.wire.messages import Init


class Feature(NamedTuple):
    """A pair of feature bits: the even one requires, the odd one above it offers."""

    even_bit: int
    name: str
    source: str
    offered_because: str = ""


_ASSUMED: Final = "LDK hangs up on a peer without it; it concerns channels, which we have none of"

FEATURES: Final = (
    Feature(0, "option_data_loss_protect", "BOLT 9", _ASSUMED),
    Feature(4, "option_upfront_shutdown_script", "BOLT 9"),
    Feature(6, "gossip_queries", "BOLT 9"),
    Feature(8, "var_onion_optin", "BOLT 9", _ASSUMED),
    Feature(10, "gossip_queries_ex", "BOLT 9"),
    Feature(12, "option_static_remotekey", "BOLT 9", _ASSUMED),
    Feature(14, "payment_secret", "BOLT 9", _ASSUMED),
    Feature(16, "basic_mpp", "BOLT 9"),
    Feature(18, "option_support_large_channel", "BOLT 9"),
    Feature(20, "option_anchor_outputs", "BOLT 9, withdrawn"),
    Feature(22, "option_anchors", "BOLT 9"),
    Feature(24, "option_route_blinding", "BOLT 9"),
    Feature(26, "option_shutdown_anysegwit", "BOLT 9"),
    Feature(28, "option_dual_fund", "BOLT 9"),
    Feature(30, "amp", "LND"),
    Feature(34, "option_quiesce", "BOLT 9"),
    Feature(36, "option_attribution_data", "BOLT 9"),
    Feature(38, "option_onion_messages", "BOLT 9", "LDK and LND forward onion messages only to a peer that offers it"),
    Feature(40, "zero_fee_commitments", "BOLT 9"),
    Feature(42, "option_provide_storage", "BOLT 9"),
    Feature(44, "option_channel_type", "BOLT 9"),
    Feature(46, "option_scid_alias", "BOLT 9"),
    Feature(48, "option_payment_metadata", "BOLT 9"),
    Feature(50, "option_zeroconf", "BOLT 9"),
    Feature(54, "keysend", "bLIP 3"),
    Feature(56, "trampoline_routing", "bolts pull request 836"),
    Feature(60, "option_simple_close", "BOLT 9"),
    Feature(62, "option_splice", "BOLT 9"),
    Feature(66, "option_onion_messages_only_channels", "BOLT 9"),
    Feature(80, "option_simple_taproot", "bolt-simple-taproot.md"),
    Feature(148, "trampoline_payment_prototype", "Eclair"),
    Feature(180, "option_simple_taproot_staging", "bolt-simple-taproot.md"),
    Feature(256, "hosted_channels", "bLIP 17"),
    Feature(258, "dns_resolver", "bLIP 32"),
)
"""Every feature we know by name. Those with a reason in the last column we offer, by their odd bit.

Compared with BOLT 9 as of 2026-08-26 (lightning/bolts 1528972): it has all rows above that say so, and no others.
"""

ONION_MESSAGES: Final = 38
"""The even bit of option_onion_messages, for `Init.has_feature`."""

ONLY_WITH_CHANNELS: Final = 66
"""The even bit of option_onion_messages_only_channels (BOLT 4): onion messages of a peer without a channel are dropped.

We have no channels, so a peer with this bit takes none from us, whatever its bits 38 and 39 say.
"""

_KNOWN_EVEN_BITS: Final = frozenset(feature.even_bit for feature in FEATURES)


def feature_bytes(bits: frozenset[int]) -> bytes:
    """A set of bits as a feature field: big-endian, as short as it goes."""
    bitmap = sum(1 << bit for bit in bits)
    return bitmap.to_bytes((bitmap.bit_length() + 7) // 8, "big")


def feature_bits(features: bytes) -> frozenset[int]:
    """The bits that are set in a feature field."""
    # Byte by byte: shifting one large integer for every bit would take seconds for the 64 kB a peer may send.
    return frozenset(
        8 * index + bit for index, byte in enumerate(reversed(features)) if byte for bit in range(8) if byte >> bit & 1
    )


OFFERED: Final = feature_bytes(frozenset(feature.even_bit + 1 for feature in FEATURES if feature.offered_because))
"""The features field of our init."""


def takes_onion_messages(init: Init) -> bool:
    """Whether a peer without channels, as we are, can have onion messages forwarded by the sender of this init."""
    return init.has_feature(ONION_MESSAGES) and not init.has_feature(ONLY_WITH_CHANNELS)


def check_peer_features(features: bytes) -> None:
    """Insist that a peer requires nothing unheard of (BOLT 1, The `init` Message).

    Raises:
        UnknownRequiredFeature: names the even bits that are not in the table.
    """
    unheard_of = [bit for bit in feature_bits(features) if bit % 2 == 0 and bit not in _KNOWN_EVEN_BITS]
    if unheard_of:
        raise UnknownRequiredFeature(tuple(sorted(unheard_of)))
