"""`python -m lnrecur`: the lnrecur command."""

from __future__ import annotations

from lnrecur.cli.main import run

if __name__ == "__main__":
    run()
