"""Everything that is ever answered to a hook of lightningd. There is no way to send another word.

lightningd aborts on an `invoice_payment` answer it does not know, and on a hook that is answered with a JSON-RPC error
(lightningd/invoice.c, plugin_hook.c; the first was observed on v26.06.6). So answers are members of these types, and a
hook has no way to fail: a bug of ours becomes the answer that leaves lightningd as it would be without us.
"""

from __future__ import annotations

from enum import Enum


class PaymentAnswer(Enum):
    """To `invoice_payment`: a payment of one of the node's invoices has arrived whole."""

    CONTINUE = "continue"
    """Take it, unless another plugin objects."""
    REJECT = "reject"
    """Fail it back, as incorrect_or_unknown_payment_details. The invoice stays unpaid."""


class MessageAnswer(Enum):
    """To `onion_message_recv_secret` and `onion_message_recv`."""

    CONTINUE = "continue"
    """It is not ours: the next plugin gets it."""
    TAKEN = "resolve"
    """It is ours, and nobody else gets it. (lightningd looks at nothing but whether it says "continue".)"""


HookAnswer = PaymentAnswer | MessageAnswer
