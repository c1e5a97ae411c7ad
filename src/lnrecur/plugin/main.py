"""lnrecur-cln: what lightningd starts. Nothing is loaded here that the answer to `getmanifest` does not need."""

from __future__ import annotations

import os
import sys
from typing import Final

_TOLD: Final = """\
lnrecur-cln is a plugin of Core Lightning: it is started by lightningd, not by hand.

  at every start      plugin={path}   in the config of lightningd
  in a running node   lightning-cli plugin start {path}

Then see `lightning-cli help recur-offer`, and docs/nodes/cln.md."""


def run() -> None:
    """The entry point of the installed command."""
    if "--version" in sys.argv[1:]:
        from lnrecur import __version__

        sys.stdout.write(f"lnrecur-cln {__version__}\n")
        return
    if len(sys.argv) > 1 or (sys.stdin.isatty() and "LIGHTNINGD_PLUGIN" not in os.environ):
        sys.stderr.write(_TOLD.format(path=os.path.abspath(sys.argv[0])) + "\n")
        sys.exit(0 if "--help" in sys.argv[1:] else 2)

    from lnrecur.adapters.nodes.cln.plugin_wire import take_stdio
    from lnrecur.plugin.program import Program

    sys.exit(Program(*take_stdio()).run())
