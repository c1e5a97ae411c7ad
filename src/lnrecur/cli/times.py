"""Times of the API, in the reader's own zone."""

from __future__ import annotations

from datetime import datetime

from lnrecur.cli.output import local_moment


def local_time(rfc3339: str | None) -> str:
    """An RFC 3339 time as the reader writes it; as it came where no calendar of this machine knows the year."""
    if rfc3339 is None:
        return ""
    try:
        return local_moment(int(datetime.fromisoformat(rfc3339).timestamp()))
    except ValueError:
        return rfc3339
