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
    "listconfigs": "settings of the node that matter to us",
    "plugin": "which plugins run in it",
    "invoice": "to make a payment receivable",
    "listinvoices": "what became of it",
    "delinvoice": "to withdraw it",
    "waitanyinvoice": "to be told what was paid",
    "xpay": "to pay",
    "listsendpays": "what became of a payment, part by part",
    "waitsendpay": "to be told how a payment ended",
    "datastore": "to note that a payment begins, and what was withdrawn",
    "listdatastore": "to read these notes",
    "deldatastore": "to throw old notes away",
    "listpeerchannels": "the channels, what they hold, and the terms of our peers",
    "listpeers": "which peers blind routes and carry onion messages",
    "listnodes": "which nodes carry onion messages, and where they can be reached",
    "listchannels": "ways for onion messages",
    "connect": "to reach the next node of an onion message, as a plugin",
    "injectonionmessage": "to send onion messages, as a plugin",
}
"""The command, and what it is needed for: "lnrecur calls it ..."."""
