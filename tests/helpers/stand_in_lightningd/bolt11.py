"""BOLT 11 as `invoice` answers it: enough for who reads hash, secret, expiry and description. The signature is real."""

from __future__ import annotations

from lnrecur.adapters.nodes.lnd import bolt11 as words
from lnrecur.crypto.ecdsa import sign_recoverable
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey

_PREFIXES = {"bitcoin": "lnbc", "testnet": "lntb", "signet": "lntbs", "regtest": "lnbcrt"}
_HASH, _SECRET, _DESCRIPTION, _DESCRIPTION_HASH, _EXPIRY, _CLTV, _FEATURES = 1, 16, 13, 23, 6, 24, 5


def write(
    key: PrivateKey,
    network: str,
    *,
    payment_hash: bytes,
    secret: bytes,
    amount_msat: int | None,
    created_at: int,
    expiry: int,
    cltv: int,
    description: str,
    hashed: bool,
) -> str:
    """The text, signed by `key`."""
    prefix = _PREFIXES[network] + ("" if amount_msat is None else f"{amount_msat * 10}p")
    told = sha256(description.encode()) if hashed else description.encode()
    data = words._number(created_at, 7)
    data += words._field(_SECRET, words._digits(secret))
    data += words._field(_HASH, words._digits(payment_hash))
    data += words._field(_DESCRIPTION_HASH if hashed else _DESCRIPTION, words._digits(told))
    data += words._field(_EXPIRY, words._number(expiry))
    data += words._field(_CLTV, words._number(cltv))
    data += words._field(_FEATURES, words._number(1 << 8 | 1 << 14 | 1 << 17))
    data += words._digits(sign_recoverable(sha256(prefix.encode(), words._bytes_padded(data)), key))
    return f"{prefix}1" + "".join(words._DIGITS[digit] for digit in data + words._checksum(prefix, data))
