"""lnrecur: recurring Lightning payments with BOLT 12."""

from __future__ import annotations

from typing import Final

from lnrecur.errors import Fault, LnrecurError

__version__: Final = "0.1.0"

__all__ = ["Fault", "LnrecurError", "__version__"]
