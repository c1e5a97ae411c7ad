"""Answers given a short while ago, so that a request sent twice gets the very same invoice (Q19).

Only memory, and bounded: forgetting an answer costs a new invoice, of which still only one can be claimed per period.
"""

from __future__ import annotations

from typing import Final

from lnrecur.bolt12.invoice import VerifiedInvoice
from lnrecur.values import PaymentHash

RECENT_MAX: Final = 4096


class RecentAnswers:
    """Invoices by the SHA-256 of the request they answer, and the requests being answered right now."""

    def __init__(self) -> None:
        self._answers: dict[bytes, VerifiedInvoice] = {}
        self._digests: dict[PaymentHash, bytes] = {}
        self._busy: set[bytes] = set()

    def begin(self, digest: bytes) -> bool:
        """Start answering a request; False if that is going on already."""
        if digest in self._busy:
            return False
        self._busy.add(digest)
        return True

    def end(self, digest: bytes) -> None:
        """The request is answered."""
        self._busy.discard(digest)

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

    def forget(self, payment_hash: PaymentHash) -> None:
        """An invoice was paid, withdrawn or has expired: it is no answer any more."""
        digest = self._digests.pop(payment_hash, None)
        if digest is not None:
            del self._answers[digest]
