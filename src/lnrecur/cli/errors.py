"""How errors leave the command: one line for people, one document for programs, and an exit code.

Exit codes: 0 done; 1 the machine, the network or the node failed; 2 what was asked, or handed over to be read, is wrong
(bad usage, undecodable texts, a wrong signature); 130 interrupted by ctrl-C. A traceback is a bug of ours.
"""

from __future__ import annotations

from typing import Any, Final

from lnrecur.cli.output import printable
from lnrecur.errors import Fault, LnrecurError

EXIT_FAILED: Final = 1
EXIT_BAD_INPUT: Final = 2
EXIT_INTERRUPTED: Final = 130
"""128 + SIGINT, as shells say it."""

_LINE_MAX: Final = 1000
"""Characters of an error we show: some errors quote what a stranger wrote."""


def exit_code(error: LnrecurError) -> int:
    """2 where the input is at fault, 1 for everything else."""
    return EXIT_BAD_INPUT if error.fault in (Fault.CALLER, Fault.PEER) else EXIT_FAILED


def one_line(text: str) -> str:
    """`text` as a single printable line of bounded length."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= _LINE_MAX else line[: _LINE_MAX - 3] + "..."


def error_document(error: LnrecurError) -> dict[str, Any]:
    """What a command run with --json prints in place of its result.

    `{"error": {"code": the error's class, "message": one line, "fault": whose, "retry": bool, ...details}}`; the
    details are those of the error, such as `rule`, `field`, `tlv_type` and `offset`.
    """
    told = {"code": type(error).__name__, "message": one_line(str(error)), "fault": str(error.fault)}
    return {"error": {**error.details(), **told, "retry": error.retry}}
