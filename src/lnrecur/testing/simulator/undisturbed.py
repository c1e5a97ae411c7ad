"""What a process that simulates a world needs: a silent log, and a garbage collector that seldom looks."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def undisturbed() -> Iterator[None]:
    """Trouble is what is wanted here, so nobody has to read of it in the log; afterwards everything is as it was.

    A world keeps nearly all it makes; to look through it for garbage again and again took an eighth of the time.
    """
    log, thresholds = logging.getLogger("lnrecur"), gc.get_threshold()
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        log.setLevel(level)
