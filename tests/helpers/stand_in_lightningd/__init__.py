"""A stand-in for Core Lightning's lightningd. It is NOT lightningd, which cannot be had where the tests run.

What it does as v26.06.6 does, by notes and recordings of live nodes and by Core Lightning's schemas and source:
JSON-RPC over a unix socket, requests without a separator and pipelined, answers that end with two newlines; the
commands in `receiving.py`, `paying.py` and `telling.py`, with their codes and words; labels, pay_index, created_index
and updated_index; hooks (`hooks.py`) and notifications; everything on disk before it is answered, so that it can be
killed and started again; HTLCs that wait while a hook is not answered, and hooks that are called again after a restart;
blinded paths that are really opened; and the ways to crash lightningd: those calls end it here, too.

Onion messages are in `onions.py` (with real Sphinx), plugins in `plugins.py` (real processes over stdin and stdout).

What it does not know: Bitcoin, BOLT 8, gossip, Sphinx in HTLCs (they carry their route openly), payments in parts,
reserves, fees on chain, payments to itself, filters deeper than two levels, and any command that is not listed.

Several of them on one `Network` file have channels with each other. Use `StandIn` inside a test's loop, on any clock,
or `python -m helpers.stand_in_lightningd` as a process of its own, on the machine's.
"""

from helpers.stand_in_lightningd.hooks import Hooks
from helpers.stand_in_lightningd.network import Network, Terms
from helpers.stand_in_lightningd.node import StandIn
from helpers.stand_in_lightningd.process import Process

__all__ = ["Hooks", "Network", "Process", "StandIn", "Terms"]
