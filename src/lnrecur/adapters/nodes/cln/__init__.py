"""Core Lightning moves the money: docs/nodes/cln.md."""

from lnrecur.adapters.nodes.cln.errors import ClnRefused, ClnUnavailable, Trouble
from lnrecur.adapters.nodes.cln.held import HeldPayments
from lnrecur.adapters.nodes.cln.node import ClnNode
from lnrecur.adapters.nodes.cln.router import ClnRouter
from lnrecur.adapters.nodes.cln.rpc import ClnRpc

__all__ = ["ClnNode", "ClnRefused", "ClnRouter", "ClnRpc", "ClnUnavailable", "HeldPayments", "Trouble"]
