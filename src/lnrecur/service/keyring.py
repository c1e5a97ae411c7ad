"""All secrets of a daemon, derived from its one seed. The only thing to keep safe is the seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from lnrecur.crypto.keys import PrivateKey, derive_key, derive_secret
from lnrecur.recurrence.payer_keys import PayerKeys, answers_key
from lnrecur.values import NodeId, RecurrenceId


@dataclass(frozen=True, slots=True)
class Keyring:
    """The secrets of a daemon; the repr shows none of them."""

    seed: bytes = field(repr=False)
    identity: PrivateKey
    """The messaging node's key: peers and offers know us by its point."""
    money: PrivateKey = field(repr=False)
    """The key of the embedded play-money node."""
    offers: bytes = field(repr=False)
    """Authenticates our own offers."""
    contexts: bytes = field(repr=False)
    """Seals what travels with a receivable."""
    states: bytes = field(repr=False)
    """Seals the states that payers carry for us (V9)."""
    answers: bytes = field(repr=False)
    """Marks the reply paths of our requests."""

    @classmethod
    def derive(cls, seed: bytes) -> Keyring:
        """All keys of a 32-byte seed."""
        return cls(
            seed=seed,
            identity=derive_key(seed, "lnrecur node key"),
            money=derive_key(seed, "lnrecur play money node key"),
            offers=derive_secret(seed, "lnrecur offers"),
            contexts=derive_secret(seed, "lnrecur receive contexts"),
            states=derive_secret(seed, "lnrecur subscription states"),
            answers=answers_key(seed),
        )

    @property
    def node_id(self) -> NodeId:
        """Our public name."""
        return NodeId(self.identity.point)

    def payer(self, recurrence_id: RecurrenceId) -> PayerKeys:
        """The keys of one outbound subscription."""
        return _payer_keys(self.seed, recurrence_id)


@lru_cache(maxsize=4096)
def _payer_keys(seed: bytes, recurrence_id: RecurrenceId) -> PayerKeys:
    """They are asked for at every request and every answer, and derived in two point multiplications."""
    return PayerKeys.derive(seed, recurrence_id)
