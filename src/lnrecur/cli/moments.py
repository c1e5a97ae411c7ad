"""How people write moments on the command line, and how the API's moments are shown to them: in the reader's zone.

What is shown is in the zone of whoever looks at it, so what is typed without a zone is in that zone too. Scripts write
a zone, or unix seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from lnrecur.cli.output import local_moment
from lnrecur.errors import UsageError
from lnrecur.wire.integers import U64_MAX

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS_MAX: Final = 20
_QUOTE_MAX: Final = 60
_UTC: Final = " UTC"
"""How a moment in UTC ends where we show one."""


def local_time(rfc3339: str | None) -> str:
    """An RFC 3339 time as the reader writes it; as it came where no calendar of this machine knows the year."""
    if rfc3339 is None:
        return ""
    try:
        return local_moment(int(datetime.fromisoformat(rfc3339).timestamp()))
    except ValueError:
        return rfc3339


def parse_moment(text: str) -> int:
    """A moment in seconds since 1970: unix seconds, or RFC 3339 such as 2027-01-31T12:00:00+01:00.

    Without a zone it is in the reader's own, and without a time of day at its midnight; "UTC" may stand for the zone.
    Fractions of a second are dropped.

    Raises:
        UsageError: not a moment, before 1970, or beyond what 64 bits hold.
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        if len(text) > _DIGITS_MAX or int(text) > U64_MAX:
            raise UsageError(f"{quoted(text)} is later than 64 bits of seconds can say")
        return int(text)
    try:
        moment = datetime.fromisoformat(text.removesuffix(_UTC))
        if moment.tzinfo is None and text.endswith(_UTC):
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment.astimezone(UTC) - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError, OSError) as error:
        told = "is no moment: write 2027-01-31T12:00:00Z, the same without a zone for your own, or unix seconds"
        raise UsageError(f"{quoted(text)} {told}") from error
    if seconds < 0:
        raise UsageError(f"{quoted(text)} is before 1970")
    return seconds


def quoted(text: str) -> str:
    """What somebody typed, for an error: at most so much of it."""
    return repr(text if len(text) <= _QUOTE_MAX else text[:_QUOTE_MAX] + "...")
