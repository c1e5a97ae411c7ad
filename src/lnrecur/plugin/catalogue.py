"""What lightningd is told of us before anything else is loaded: commands, options, hooks. Light on purpose.

The commands take what the options of `lnrecur` take, under the same names; a test compares. lightningd asks for all
this also when it is only asked for --help, so nothing here looks at a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lnrecur.adapters.nodes.cln.held import HeldPayments
from lnrecur.adapters.nodes.cln.hook_answers import HookAnswer, MessageAnswer, PaymentAnswer
from lnrecur.adapters.nodes.cln.plugin_wire import Hook

HOLD_S_MAX: Final = 30.0
"""How long a payment waits for our word; then it is failed back. No HTLC ends as soon as that."""
_ANSWER_S: Final = 5.0
"""How long the event loop may be busy before a hook is answered without it."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of lightning-cli. Its parameters are those of a command of ours, by name or in this order."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    description: str
    long_description: str

    @property
    def usage(self) -> str:
        """As lightning-cli help shows it."""
        return " ".join([*self.required, *(f"[{name}]" for name in self.optional)])

    @property
    def parameters(self) -> tuple[str, ...]:
        """All names, in order."""
        return (*self.required, *self.optional)


_AMOUNTS: Final = "Amounts are in msat, or say their unit: 1000sat, 1500msat, 0.001btc; or a currency: 9.99EUR."
_TIMES: Final = "Moments are unix seconds or 2027-01-31T12:00:00Z, durations 90s, 10min, 2h, 1d, 1w."

COMMANDS: Final = (
    Command(
        "recur-offer",
        ("amount", "description"),
        ("every", "payments", "label", "issuer", "quantity_max", "expires", "base", "proportional", "pay_before",
         "pay_after", "optional", "lenient", "arrears_max", "grace", "early", "first_in_window", "amount_min",
         "via_peer", "dialect", "invoice_expiry", "fiat_expiry", "after_window", "after_cancel", "after_end",
         "give_state", "blinded"),
        "Create an offer that is paid again and again",
        "Creates an offer of {description} at {amount} for each period, ready to publish. {every} is the length of a "
        "period: 10min, 1d, 2w, 1month, 1y; without it the offer is paid once. {amount} any: the payer chooses. "
        f"{_AMOUNTS} {_TIMES} The other parameters are the options of `lnrecur offer create` (docs/cli.md).",
    ),
    Command(
        "recur-offers",
        (),
        ("offer_id",),
        "List the recurring offers of this node, or show one",
        "Lists all offers, or shows the one whose offer_id begins with {offer_id}.",
    ),
    Command(
        "recur-subscribe",
        ("offer",),
        ("max_per_period", "max_total", "max_payments", "until", "max_fee", "fee_ppm", "start", "quantity", "note",
         "ask_each_time", "catch_up", "catch_up_max", "pay_at", "margin", "jitter", "slippage", "via", "confirm"),
        "Authorise the payments of an offer, within limits",
        "Answers what would be authorised, and a digest of it, and authorises nothing. Called again with the same "
        "parameters and {confirm} set to that digest it subscribes: each period is then paid without another "
        f"question, within these limits. {_AMOUNTS} {_TIMES} Without {{max_per_period}} a period may cost what the "
        "offer says. The other parameters are the options of `lnrecur subscribe` (docs/cli.md).",
    ),
    Command(
        "recur-subscriptions",
        (),
        ("subscription_id", "role"),
        "List subscriptions, or show one with its payments and events",
        "Lists all subscriptions, or those of the {role} payer or payee, or shows the one whose id begins with "
        "{subscription_id}, with its payments and events.",
    ),
    Command(
        "recur-approve",
        ("subscription_id",),
        ("question", "paid_elsewhere"),
        "Agree to what a subscription waits for",
        "Answers what the subscription asks, in words, with its {question}, and agrees to nothing. Called again with "
        "that {question} it agrees to that, and to nothing that may have come since. {paid_elsewhere} true: the "
        "period was paid by another daemon with this seed.",
    ),
    Command(
        "recur-cancel",
        ("subscription_id",),
        (),
        "Stop paying a subscription",
        "Stops paying at once. The payee is told when the next payment would have been due; a payment that is on its "
        "way is followed to its end.",
    ),
)  # fmt: skip

OPTIONS: Final = (
    ("lnrecur-dir", "lnrecur", "Folder of lnrecur's database, seed and config.toml; relative to the network's folder"),
    ("lnrecur-http-port", "auto", "Port of lnrecur's HTTP API on 127.0.0.1; off: none; auto: 9738, or a free one"),
    ("lnrecur-messages", "plugin", "How lnrecur speaks: plugin (as this node) or peer (a node of its own)"),
    ("lnrecur-dialect", "cln", "Numbers of the recurrence fields in new offers: cln or draft"),
    ("lnrecur-log-level", "info", "What lnrecur writes to this node's log: debug, info, warning or error"),
)
"""Name, default, description. All are texts."""

SUBSCRIPTIONS: Final = ("connect", "disconnect", "shutdown")


def _pass_by(params: Mapping[str, Any]) -> HookAnswer:
    return MessageAnswer.CONTINUE


def _return_ours(params: Mapping[str, Any]) -> HookAnswer:
    """A payment of ours that nobody could look at goes back; those of others are none of our business."""
    label = params["payment"]["label"]
    return PaymentAnswer.REJECT if HeldPayments.is_ours(str(label)) else PaymentAnswer.CONTINUE


HOOKS: Final = {
    hook.name: hook
    for hook in (
        Hook("onion_message_recv_secret", MessageAnswer, _ANSWER_S, _pass_by, before=("offers",)),
        Hook("invoice_payment", PaymentAnswer, HOLD_S_MAX + _ANSWER_S, _return_ours),
    )
}


def manifest() -> dict[str, Any]:
    """The answer to `getmanifest`."""
    return {
        "options": [
            {"name": name, "type": "string", "default": default, "description": told, "dynamic": False}
            for name, default, told in OPTIONS
        ],
        "rpcmethods": [
            {
                "name": command.name,
                "usage": command.usage,
                "description": command.description,
                "long_description": command.long_description,
                "category": "lnrecur",
            }
            for command in COMMANDS
        ],
        "subscriptions": list(SUBSCRIPTIONS),
        "hooks": [{"name": hook.name, "before": list(hook.before)} for hook in HOOKS.values()],
        "notifications": [],
        "featurebits": {},
        "nonnumericids": True,
        "dynamic": True,
    }
