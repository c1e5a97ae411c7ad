"""P2: never above the mandate. Reckoned from what the person said and what the money nodes did, not from any state."""

from __future__ import annotations

from lnrecur.ports import Role
from lnrecur.recurrence.effects import Pay
from lnrecur.recurrence.outbound_model import Outbound, Trigger
from lnrecur.testing.simulator.facts import Facts, Settlement, Subscription
from lnrecur.testing.simulator.promises.promise import Commit, Promise
from lnrecur.values import PaymentHash


class MandateKept(Promise):
    """Looks at each decision to pay, and at each payment."""

    id = "P2"
    text = "never above the mandate"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._decided: dict[PaymentHash, Pay] = {}

    def committed(self, commit: Commit) -> None:
        """A decision to pay is inside the mandate at that very moment, or was approved."""
        if commit.role is not Role.PAYER:
            return
        for effect in commit.change.outbox:
            if isinstance(effect, Pay):
                assert isinstance(commit.after, Outbound)
                self._decide(self.facts.subscriptions[commit.subject], effect, commit.after)
                self._decided[effect.payment_hash] = effect

    def _decide(self, known: Subscription, pay: Pay, state: Outbound) -> None:
        counter = state.next_counter
        mandate = known.mandate
        approval = known.approvals.get(counter)
        if pay.max_fee_msat > mandate.max_fee_msat(pay.amount_msat):
            self.broken(f"up to {pay.max_fee_msat} msat of fees are allowed for counter {counter}", known)
        if known.terms.trigger is Trigger.ON_APPROVAL and approval is None:
            self.broken(f"counter {counter} is paid without the approval that each payment needs", known)
        if approval is not None and pay.amount_msat <= (approval.amount_msat or 0):
            return
        payments, total = len(known.settled), known.settled_msat + pay.amount_msat
        if known.settled.get(counter) == pay.payment_hash:  # decided again, after it had settled
            payments, total = payments - 1, total - self.facts.settlements[pay.payment_hash].amount_msat
        if mandate.max_per_period_msat is not None and pay.amount_msat > mandate.max_per_period_msat:
            told = f"{pay.amount_msat} msat for counter {counter}, {mandate.max_per_period_msat} a period are allowed"
        elif mandate.fiat is not None and pay.amount_msat > mandate.fiat.most_msat(self.facts.rates.now()):
            told = f"{pay.amount_msat} msat for counter {counter}, {mandate.fiat.in_words()} a period are allowed"
        elif mandate.max_total_msat is not None and total > mandate.max_total_msat:
            told = f"with counter {counter} {total} msat are paid, {mandate.max_total_msat} in total are allowed"
        elif mandate.max_payments is not None and payments >= mandate.max_payments:
            told = f"counter {counter} is payment {payments + 1}, {mandate.max_payments} are allowed"
        elif mandate.ends_at is not None and self.facts.now >= mandate.ends_at:
            told = f"counter {counter} is paid at {self.facts.now}, the mandate ended at {mandate.ends_at}"
        else:
            return
        self.broken(told, known)

    def settled(self, settlement: Settlement) -> None:
        """What was paid is what was decided."""
        known = settlement.subscription
        if known is None:
            return
        pay = self._decided.get(settlement.payment_hash)
        if pay is None:
            self.broken(f"{settlement.payment_hash.hex()} was paid, and nobody had decided that", known)
        if settlement.amount_msat > pay.amount_msat or settlement.fee_msat > pay.max_fee_msat:
            told = f"{settlement.amount_msat} msat and {settlement.fee_msat} of fees were paid"
            self.broken(f"{told}, {pay.amount_msat} and at most {pay.max_fee_msat} were decided", known)
