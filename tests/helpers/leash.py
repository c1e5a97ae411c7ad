"""Programs that end with the tests, however the tests end.

A fixture that ends its servers does nothing if pytest is killed. On Linux a process can ask the kernel to be killed
when its parent is gone (`PR_SET_PDEATHSIG`), and keeps that over `exec`: so a moment of Python asks for it and becomes
the program, under the same process id. Elsewhere it becomes the program and nothing is asked.

The kernel takes the *thread* that started it for the parent: start such programs from the main thread.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

_LEASH: Final = """
import os, sys
if sys.platform == "linux":
    import ctypes, signal
    PR_SET_PDEATHSIG = 1
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the tests are over already")
os.execvp(sys.argv[2], sys.argv[2:])
"""


def leashed(command: Sequence[str]) -> list[str]:
    """The command, for `subprocess.Popen` in this process and thread: as it is, but it dies when we do."""
    return [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *command]
