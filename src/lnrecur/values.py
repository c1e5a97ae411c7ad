"""The words of the house: values with their unit in the name.

Everything here is immutable and costs nothing at run time. Amounts are integers in millisatoshi, times are integer
seconds since 1970 UTC; there are no floats in lnrecur where money or time is counted.
"""

from __future__ import annotations

from typing import Final, NewType

Msat = NewType("Msat", int)
"""An amount in millisatoshi."""

UnixSeconds = NewType("UnixSeconds", int)
"""A moment: seconds since 1970-01-01T00:00:00Z, without leap seconds."""

NodeId = NewType("NodeId", bytes)
"""A node's public key: a 33-byte compressed secp256k1 point."""

Point = NewType("Point", bytes)
"""Any other 33-byte compressed secp256k1 point (payer_id, path_key, blinded_node_id)."""

POINT_SIZE: Final = 33

PaymentHash = NewType("PaymentHash", bytes)
"""SHA-256 of a preimage, 32 bytes."""

Preimage = NewType("Preimage", bytes)
"""The 32 bytes that prove a payment."""

OfferId = NewType("OfferId", bytes)
"""SHA-256 of an offer's TLV bytes, 32 bytes (as Core Lightning names offers)."""

ChainHash = NewType("ChainHash", bytes)
"""A chain's genesis block hash, 32 bytes, in the byte order of the wire."""

ShortChannelId = NewType("ShortChannelId", int)
"""block << 40 | transaction << 16 | output, as BOLT 7 packs it."""

RecurrenceId = NewType("RecurrenceId", bytes)
"""32 bytes that name an outbound subscription of ours."""

ID_SIZE: Final = 32
"""Length of the ids of offers and subscriptions, in bytes."""
MSAT_PER_SAT: Final = 1000
ZERO_MSAT: Final = Msat(0)

BITCOIN: Final = ChainHash(bytes.fromhex("6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000"))
TESTNET: Final = ChainHash(bytes.fromhex("43497fd7f826957108f4a30fd9cec3aeba79972084e90ead01ea330900000000"))
SIGNET: Final = ChainHash(bytes.fromhex("f61eee3b63a380a477a063af32b2bbc97c9ff9f01f2c4225e973988108000000"))
REGTEST: Final = ChainHash(bytes.fromhex("06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f"))

CHAINS: Final = {"bitcoin": BITCOIN, "testnet": TESTNET, "signet": SIGNET, "regtest": REGTEST}
"""Chain names as the settings spell them."""


def chain_name(chain: ChainHash) -> str:
    """A chain's name, or its hash in hexadecimal where we know none."""
    for name, known in CHAINS.items():
        if known == chain:
            return name
    return chain.hex()


def ids_beginning_with(digits: str) -> tuple[bytes, bytes] | None:
    """The lowest and the highest id that begins with these hexadecimal digits; None where no id can."""
    size = 2 * ID_SIZE
    if len(digits) > size or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
        return None
    return bytes.fromhex(digits.ljust(size, "0")), bytes.fromhex(digits.ljust(size, "f"))
