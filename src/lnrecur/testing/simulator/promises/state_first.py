"""P4: the state is stored before the message is sent: whatever leaves a node stands in its store already."""

from __future__ import annotations

from typing import Final

from lnrecur.ports import PayOrder
from lnrecur.recurrence.effects import SendCancel, SendInvoiceRequest
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.testing.simulator.facts import Facts
from lnrecur.testing.simulator.promises.promise import Commit, Promise
from lnrecur.values import PaymentHash, UnixSeconds

_END: Final = UnixSeconds(2**62)
"""Later than anything is due."""
_ALL: Final = 1000


class StateFirst(Promise):
    """Looks at requests, orders to pay and claims at the moment they leave."""

    id = "P4"
    text = "the state is stored before the message is sent"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._stored: set[tuple[str, bytes]] = set()
        """Requests that stood in a state once: one process may send again what another one has just seen answered."""

    def committed(self, commit: Commit) -> None:
        """A state may wait for the answer to a request."""
        state = commit.after
        if isinstance(state, Outbound) and state.request is not None:
            self._stored.add((commit.node, state.request.data))

    def copied(self, node: str, twin: str) -> None:
        """What the first has stored, the second has too."""
        self._stored |= {(twin, request) for holder, request in self._stored if holder == node}

    def requested(self, node: str, request: bytes) -> None:
        """A request waits for its answer in some state, or did, or stands in the outbox."""
        store = self.facts.stores[node]
        if (node, request) in self._stored:
            return
        deeds = (entry.effect for entry in store.due_outbox(_END, _ALL))
        if not any(isinstance(deed, SendInvoiceRequest | SendCancel) and deed.request == request for deed in deeds):
            self.broken(f"a request has left {node} that its store does not know")

    def ordered(self, node: str, order: PayOrder) -> None:
        """A payment is the one that its subscription waits for, with its very amounts."""
        for state in self.facts.stores[node].outbounds():
            payment = state.payment
            if payment is not None and payment.payment_hash == order.payment_hash:
                stored, asked = (payment.amount_msat, payment.max_fee_msat), (order.amount_msat, order.max_fee_msat)
                if stored != asked:
                    known = self.facts.subscriptions.get(state.recurrence_id)
                    self.broken(f"{node} orders {asked} msat and fees, its store says {stored}", known)
                return
        self.broken(f"{node} orders a payment that its store does not know, {order.payment_hash.hex()}")

    def claiming(self, node: str, payment_hash: PaymentHash) -> None:
        """A payment that is taken has its period reserved, or was booked."""
        context = self.facts.invoices.get(payment_hash)
        if context is None:
            self.broken(f"{node} claims a payment for no invoice of its own")
        stored = self.facts.stores[node].inbound(context.offer_id, context.payer_id)
        if stored is not None:
            reserved = stored.state.reserved
            if reserved is not None and reserved.payment_hash == payment_hash:
                return
            booked = self.facts.stores[node].payments(stored.state.subscription_id)
            if any(payment.booking.payment_hash == payment_hash for payment in booked):
                return
        self.broken(
            f"{node} claims a payment that nothing in its store is reserved for", self.facts.by_context(context)
        )
