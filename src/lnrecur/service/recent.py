"""Answers given a short while ago, so that a request sent twice gets the very same invoice (Q19).

Two copies within `COPY_S` are one request that came twice (LDK sends each twice within milliseconds, networks double
messages): the second gets no answer. Later ones are resends of somebody who got none, and are answered again.

Only memory, and bounded: forgetting an answer costs a new invoice, of which still only one can be claimed per period.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from lnrecur.bolt12.invoice import VerifiedInvoice
from lnrecur.values import PaymentHash

RECENT_MAX: Final = 4096
COPY_S: Final = 1.0
"""Nobody who waits for an answer asks again as soon as this; a script that calls `fetchinvoice` twice does not wait."""


class RecentAnswers:
    """Invoices by the SHA-256 of the request they answer, and the requests being answered right now."""

    def __init__(self) -> None:
        self._answers: dict[bytes, VerifiedInvoice] = {}
        self._digests: dict[PaymentHash, bytes] = {}
        self._busy: set[bytes] = set()
        self._answered: OrderedDict[bytes, tuple[float, int]] = OrderedDict()
        """When a request was answered, and how often by then."""

    def begin(self, digest: bytes, now: float) -> bool:
        """Start answering a request; False if that is going on already, or was done a moment ago."""
        answered_at, times = self._answered.get(digest, (0.0, 0))
        just_now = times > 0 and abs(now - answered_at) < COPY_S
        if digest in self._busy or just_now:
            return False
        self._busy.add(digest)
        return True

    def end(self, digest: bytes, answered_at: float | None) -> None:
        """The request was answered at this moment; or, None, could not be."""
        self._busy.discard(digest)
        if answered_at is None:
            return
        times = self.times_answered(digest)
        self._answered[digest] = (answered_at, times + 1)
        self._answered.move_to_end(digest)
        while len(self._answered) > RECENT_MAX:
            self._answered.popitem(last=False)

    def times_answered(self, digest: bytes) -> int:
        """How often this request was answered: who asks again did not get it."""
        return self._answered.get(digest, (0.0, 0))[1]

    def answer(self, digest: bytes, now: int) -> VerifiedInvoice | None:
        """The invoice this request got, if it can still be paid."""
        invoice = self._answers.get(digest)
        return invoice if invoice is not None and now < invoice.expires_at else None

    def remember(self, digest: bytes, invoice: VerifiedInvoice) -> None:
        """Keep an answer; the oldest is forgotten when there are too many."""
        replaced = self._answers.pop(digest, None)
        if replaced is not None:
            self._digests.pop(replaced.payment_hash)
        self._answers[digest] = invoice
        self._digests[invoice.payment_hash] = digest
        if len(self._answers) > RECENT_MAX:
            self.forget(next(iter(self._answers.values())).payment_hash)

    def forget_all(self) -> None:
        """What we sell has changed: every request is looked at anew."""
        self._answers.clear()
        self._digests.clear()

    def forget(self, payment_hash: PaymentHash) -> None:
        """An invoice was paid, withdrawn or has expired: it is no answer any more."""
        digest = self._digests.pop(payment_hash, None)
        if digest is not None:
            del self._answers[digest]
