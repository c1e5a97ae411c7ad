"""Core Lightning moves the money: docs/nodes/cln.md."""

from lnrecur.adapters.nodes.cln.errors import ClnRefused, ClnUnavailable, Trouble
from lnrecur.adapters.nodes.cln.rpc import ClnRpc

__all__ = ["ClnRefused", "ClnRpc", "ClnUnavailable", "Trouble"]
