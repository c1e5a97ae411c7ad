"""Play money: the money node for trying lnrecur out. Nothing in it is worth anything."""

from lnrecur.adapters.nodes.playmoney.htlc import OPENING_BALANCE
from lnrecur.adapters.nodes.playmoney.node import KIND, POLL_SECONDS, PlayMoneyNode

__all__ = ["PlayMoneyNode", "KIND", "OPENING_BALANCE", "POLL_SECONDS"]
