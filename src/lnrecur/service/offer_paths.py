"""How our offers say where they are asked: at this node, or over blinded paths, and which key then signs the invoices.

- A plain offer names our node id (offer_issuer_id), which signs.
- One blinded path: its last blinded node id signs, and nothing else names us.
- Several paths: each ends in another blinded id, but a payer who goes on to the next path when one is dead must still
  get the very same invoice. So such an offer names an issuer key made for it alone, which follows from its nonce.
- Where we speak under the id of a host, its keys are not ours, neither the plain nor the blinded one. So each of our
  offers has paths, be it one that begins at the host, and an issuer key of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from lnrecur.bolt12.invoice_request import InvoiceRequest, VerifiedInvoiceRequest
from lnrecur.bolt12.offer import OfferTerms
from lnrecur.crypto.keys import PrivateKey, derive_key
from lnrecur.errors import Fault, LnrecurError, UsageError
from lnrecur.messaging.messenger import Delivered
from lnrecur.ports import Host
from lnrecur.recurrence.offer_authenticity import NONCE_SIZE, path_secret
from lnrecur.service.courier import Courier
from lnrecur.service.keyring import Keyring
from lnrecur.values import NodeId

VIA_MAX: Final = 8
"""How many introduction peers one offer may have: each makes its text some 400 characters longer."""


class KeyNotOurs(LnrecurError):
    """An invoice would have to be signed with a key that only the host has."""

    fault: ClassVar[Fault] = Fault.CALLER


@dataclass(frozen=True, slots=True)
class OfferPaths:
    """Writes the paths of our offers, and finds the key that answers for an offer."""

    courier: Courier
    keyring: Keyring
    host: Host | None = None

    def address(self, terms: OfferTerms, nonce: bytes, *, blinded: bool, via: Sequence[NodeId]) -> OfferTerms:
        """Terms with the issuer, or with paths, by which the offer is asked.

        Args:
            terms: what the offer says otherwise.
            nonce: the offer's own.
            blinded: ask over a path; over one that begins at this node where there are no peers in `via`.
            via: connected peers; a path begins at each of them.

        Raises:
            UsageError: a peer is named twice, or is not connected; or there are too many.
        """
        peers = self._checked(via)
        if self.host is not None and not peers:
            peers = self.host.introductions()
        elif not blinded and not peers:
            return replace(terms, issuer_id=self.keyring.identity.point)
        if len(peers) > 1 or self.host is not None:
            terms = replace(terms, issuer_id=self._issuer(nonce).point)
        secret, seed = path_secret(self.keyring.offers, terms, nonce), derive_key(self.keyring.offers, "path", nonce)
        routes: list[list[NodeId]] = [[peer] for peer in peers] or [[]]
        return replace(terms, paths=tuple(self.courier.path_to_us(secret, seed, route) for route in routes))

    def signing_key(self, request: InvoiceRequest | VerifiedInvoiceRequest, delivered: Delivered) -> PrivateKey:
        """The key of invoice_node_id (V7), for a request that is proven to be for an offer of ours.

        Raises:
            KeyNotOurs: the offer was made when we spoke under our own id, and now we speak under a host's.
        """
        if request.issuer_id is None:
            if delivered.addressed is None:
                raise KeyNotOurs("this offer is asked at a blinded id of the host, for which only the host could sign")
            return delivered.addressed
        if request.paths is None:
            return self.keyring.identity
        return self._issuer((request.metadata or b"")[:NONCE_SIZE])

    def _issuer(self, nonce: bytes) -> PrivateKey:
        return derive_key(self.keyring.offers, "issuer", nonce)

    def _checked(self, via: Sequence[NodeId]) -> Sequence[NodeId]:
        if len(via) > VIA_MAX:
            raise UsageError(f"an offer has at most {VIA_MAX} introduction peers, not {len(via)}", field="via")
        if len(set(via)) != len(via):
            raise UsageError("the same introduction peer is named twice", field="via")
        connected = self.courier.peers()
        for peer in via:
            if peer not in connected:
                told = "is no connected peer that takes onion messages: nobody could be introduced by it"
                raise UsageError(f"{peer.hex()} {told}", field="via")
        return via
