"""Connections to other nodes: BOLT 8 over TCP, the production implementation of `ports.PeerLink`.

`tcp.py` is the link itself. It dials (`dialling.py`), listens, decides who may stay (`admission.py`, by the rules of
`places.py` and `origins.py`), keeps chosen peers connected (`keeping.py`), runs a socket each (`connection.py`),
measures what comes in (`inflow.py`) and has it handled (`handling.py`). `settings.py` holds every limit, and the bound
on memory that follows from them.
"""

from __future__ import annotations

from lnrecur.adapters.link.settings import (
    FlowLimits,
    HandlingLimits,
    InflowLimits,
    LinkSettings,
    ProxySettings,
)
from lnrecur.adapters.link.tcp import CannotListen, TcpPeerLink

__all__ = [
    "CannotListen",
    "FlowLimits",
    "HandlingLimits",
    "InflowLimits",
    "LinkSettings",
    "ProxySettings",
    "TcpPeerLink",
]
