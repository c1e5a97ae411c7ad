"""LND moves the money: docs/nodes/lnd.md."""

from lnrecur.adapters.nodes.lnd.errors import LndRefused, LndUnavailable, Trouble
from lnrecur.adapters.nodes.lnd.node import LndNode, network_of, version_of
from lnrecur.adapters.nodes.lnd.rest import LndAccess

__all__ = ["LndAccess", "LndNode", "LndRefused", "LndUnavailable", "Trouble", "network_of", "version_of"]
