"""The life of our offers: written, retired for new subscribers, paused, ended or replaced; each step is an event.

An offer that ends takes its subscriptions with it, one transaction each. Should we be stopped in the middle, the rest
follow when their next window closes or their next request comes, whichever is first: the offer's own record says so.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from lnrecur.bolt12 import Recurrence
from lnrecur.bolt12.offer import Offer, OfferTerms
from lnrecur.errors import UsageError
from lnrecur.ports import Clock, Entropy, Host, OfferRecord, RecurrenceManager
from lnrecur.recurrence.effects import Emit, Fact
from lnrecur.recurrence.offer_authenticity import NONCE_SIZE, write_authentic_offer
from lnrecur.recurrence.offering import OVER, Offering, OfferPolicy, OfferStatus
from lnrecur.service.courier import Courier
from lnrecur.service.keyring import Keyring
from lnrecur.service.offer_paths import OfferPaths
from lnrecur.values import BITCOIN, ChainHash, NodeId, OfferId, UnixSeconds

FRESH_S: Final = 5
"""How long an offer's record is believed without looking again: what other processes decide holds after this time."""
_KNOWN_MAX: Final = 1024
_SUCCESSOR_MAX: Final = 950
"""Longest offer that is named to a subscriber as the successor: error texts are read up to 1,000 characters (V10)."""

_CHANGES: Final[dict[OfferStatus, tuple[str, frozenset[OfferStatus]]]] = {
    OfferStatus.OPEN: ("offer.resumed", frozenset({OfferStatus.RETIRED, OfferStatus.PAUSED})),
    OfferStatus.RETIRED: ("offer.retired", frozenset({OfferStatus.OPEN, OfferStatus.PAUSED})),
    OfferStatus.PAUSED: ("offer.paused", frozenset({OfferStatus.OPEN, OfferStatus.RETIRED})),
    OfferStatus.ENDED: ("offer.ended", frozenset(OfferStatus) - OVER),
    OfferStatus.REPLACED: ("offer.replaced", frozenset(OfferStatus) - OVER),
}
"""Each status: the event that tells of it, and from where it may be reached."""


class Offers:
    """Our offers. One per daemon."""

    def __init__(
        self,
        *,
        manager: RecurrenceManager,
        courier: Courier,
        keyring: Keyring,
        clock: Clock,
        entropy: Entropy,
        chain: ChainHash,
        host: Host | None = None,
    ) -> None:
        self._manager = manager
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy
        self._chain = chain
        self.paths = OfferPaths(courier, keyring, host)
        self._known: OrderedDict[OfferId, tuple[UnixSeconds, Offering]] = OrderedDict()

    def create(
        self,
        terms: OfferTerms,
        policy: OfferPolicy,
        *,
        label: str = "",
        blinded: bool = False,
        via: Sequence[NodeId] = (),
    ) -> OfferRecord:
        """Write an offer that we shall know again, and store it.

        Args:
            terms: what it says.
            policy: what it does not say.
            label: our own name for it.
            blinded: it is asked over a blinded path, which begins at this node unless `via` names others.
            via: connected peers; a blinded path begins at each of them, and the offer does not name this node.

        Raises:
            WritingError: the terms break a rule of BOLT 12 or of recurrence.
            UsageError: a peer of `via` is not connected.
        """
        nonce = self._entropy.take(NONCE_SIZE)
        terms = replace(terms, chains=None if self._chain == BITCOIN else (self._chain,))
        terms = self.paths.address(terms, nonce, blinded=blinded, via=via)
        offer = write_authentic_offer(self._keyring.offers, terms, nonce)
        record = OfferRecord(offer.offer_id, offer.to_bytes(), policy, self._clock.now(), label)
        data: dict[str, Fact] = {"offer": offer.to_text(), "label": label}
        self._manager.add_offer(record, (Emit("offer.created", data),))
        return record

    def change(self, offer_id: OfferId, status: OfferStatus, *, successor: OfferId | None = None) -> OfferRecord:
        """Retire, pause, resume (open), end or replace an offer; `successor` is another offer of ours.

        Raises:
            UsageError: there is no such offer, it cannot go there from where it stands, or the successor cannot be one.
            Conflict: somebody else changed it just now.
        """
        before = self._manager.offer(offer_id)
        if before is None:
            raise UsageError(f"no offer {offer_id.hex()}", field="id")
        name, reachable_from = _CHANGES[status]
        if before.status not in reachable_from:
            raise UsageError(f"this offer is {before.status}: it cannot become {status}", field="id")
        text = None if successor is None else self._successor(offer_id, successor)
        if (status is OfferStatus.REPLACED) != (text is not None):
            raise UsageError("an offer is replaced by another offer: say by which", field="successor")
        after = replace(before, status=status, successor=text)
        data: dict[str, Fact] = {"was": before.status.value}
        if successor is not None:
            data["successor"] = successor.hex()
        self._manager.change_offer(before, after, self._clock.now(), (Emit(name, data),))
        self._known.pop(offer_id, None)
        return after

    def offering(self, offer_id: OfferId) -> Offering:
        """What a step needs of an offer; where its record is lost, only what every offer of ours has.

        An offer of ours is known by its own bytes (offer_authenticity.py), so one restored from the seed alone is
        still sold, under the default policy.
        """
        now = self._clock.now()
        known = self._known.get(offer_id)
        if known is not None and now < known[0] + FRESH_S:
            return known[1]
        record = self._manager.offer(offer_id)
        offering = Offering() if record is None else _offering(record)
        self._known[offer_id] = (now, offering)
        self._known.move_to_end(offer_id)
        if len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)
        return offering

    def _successor(self, offer_id: OfferId, successor: OfferId) -> str:
        record = self._manager.offer(successor)
        if record is None:
            raise UsageError(f"no offer {successor.hex()}", field="successor")
        if successor == offer_id or record.status is not OfferStatus.OPEN:
            raise UsageError("the successor is another offer of ours, open for new subscribers", field="successor")
        text = Offer.from_bytes(record.offer).to_text()
        if len(text) > _SUCCESSOR_MAX:
            told = f"the successor has {len(text)} characters, and a refusal can name {_SUCCESSOR_MAX}"
            raise UsageError(f"{told}: shorten its texts", field="successor")
        return text


def _offering(record: OfferRecord) -> Offering:
    return Offering(record.policy, _recurrence_of(record.offer), record.status, record.successor)


@lru_cache(maxsize=_KNOWN_MAX)
def _recurrence_of(offer: bytes) -> Recurrence | None:
    """What an offer says of its recurrence: other than its status, that never changes."""
    return Offer.from_bytes(offer).recurrence
