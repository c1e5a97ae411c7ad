"""Every JSON-RPC command of lightningd that lnrecur uses, and what for. Nothing else ever leaves (see rpc.py).

Why a list: two calls of `createinvoice` end lightningd on the spot (v26.06.6; without payment_hash and paths, and with
a payment_hash stored under another label). A command that is not here cannot be called, so neither can happen. The
page docs/nodes/cln.md lists the same commands; a test compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

METHODS: Final[Mapping[str, str]] = {
    "getinfo": "who it is, its chain, its version, whether it is synced",
    "invoice": "to make a payment receivable",
    "listinvoices": "what became of it",
    "delinvoice": "to withdraw it",
    "waitanyinvoice": "to be told what was paid",
    "xpay": "to pay",
    "listpays": "what became of a payment",
    "listsendpays": "what became of its parts",
    "waitsendpay": "to be told how a payment ended",
    "listpeerchannels": "the channels, what they hold, and the terms of our peers",
    "listnodes": "which nodes blind routes and carry onion messages",
    "listchannels": "ways for onion messages",
    "listconfigs": "settings of the node that matter to us",
    "listpeers": "who the node is connected to",
    "plugin": "whether a plugin runs in it",
    "connect": "to reach the next node of an onion message",
    "injectonionmessage": "to send onion messages, as a plugin",
}
"""The command, and what it is needed for: "lnrecur calls it ..."."""
