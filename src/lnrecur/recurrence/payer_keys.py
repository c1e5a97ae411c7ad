"""Who a payer is in one subscription: keys and metadata that follow from the seed, so nothing secret is stored.

The payer key must be the same for all requests of a subscription and unknown to any other; metadata must be
unpredictable to others and never repeat for a different request (Q1, Q2, Q7). Both are derived from the node's seed and
the 32-byte recurrence id, so restoring the seed restores them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lnrecur.crypto.hashes import hmac_sha256, same_bytes
from lnrecur.crypto.keys import PrivateKey, derive_key, derive_secret
from lnrecur.values import Point, RecurrenceId

_PATH_ID_HALF: Final = 16


@dataclass(frozen=True, slots=True)
class PayerKeys:
    """The secrets of one outbound subscription. The repr shows only the public key."""

    payer: PrivateKey
    _secret: bytes = field(repr=False)
    _answers: bytes = field(repr=False)
    """The same for all subscriptions of a seed; see `answers_key`."""

    @classmethod
    def derive(cls, seed: bytes, recurrence_id: RecurrenceId) -> PayerKeys:
        """The keys of a subscription under a seed."""
        return cls(
            derive_key(seed, "lnrecur payer key", recurrence_id),
            derive_secret(seed, "lnrecur payer metadata", recurrence_id),
            answers_key(seed),
        )

    @property
    def payer_id(self) -> Point:
        """What the payee sees: invreq_payer_id."""
        return self.payer.point

    def metadata(self, counter: int, attempt: int) -> bytes:
        """invreq_metadata of the `attempt`-th different request for `counter`, 32 bytes (Q7)."""
        return hmac_sha256(self._secret, b"metadata", counter.to_bytes(4, "big"), attempt.to_bytes(4, "big"))

    def reply_path_id(self, request: bytes) -> bytes:
        """The 32-byte secret by which the answer to `request` is recognised, also after a restart.

        Its first half belongs to this request alone; the second says that it is ours, whatever the request was.
        """
        half = hmac_sha256(self._secret, b"reply path", request)[:_PATH_ID_HALF]
        return half + _ours(self._answers, half)

    def reply_session_key(self, request: bytes) -> PrivateKey:
        """The key the reply path of `request` is built with, so that a resend is byte-identical."""
        return derive_key(self._secret, "reply session", request)


def answers_key(seed: bytes) -> bytes:
    """The secret that marks every reply path of a seed."""
    return derive_secret(seed, "lnrecur reply paths")


def is_reply_path_id(key: bytes, path_id: bytes) -> bool:
    """Whether some request of ours made this path_id; told by the key alone, without looking anything up."""
    half, rest = path_id[:_PATH_ID_HALF], path_id[_PATH_ID_HALF:]
    return same_bytes(rest, _ours(key, half))


def _ours(key: bytes, half: bytes) -> bytes:
    return hmac_sha256(key, b"ours", half)[:_PATH_ID_HALF]
