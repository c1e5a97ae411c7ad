"""The header `Idempotency-Key`: an order that is given twice under one key is one order.

Whoever loses the connection while ordering does not know whether the order was heard. Under a key of its own it can be
given again: the same order is answered with what it made the first time, another one is refused. What is compared is
what was said, however it was written down; key and result are stored in one transaction.
"""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request

from lnrecur.crypto.hashes import sha256
from lnrecur.errors import UsageError
from lnrecur.ports import OrderKey

HEADER: Final = "Idempotency-Key"
KEY_MAX: Final = 200


async def order_key_of(request: Request) -> OrderKey | None:
    """The key of an order whose body was read already; None where it has none.

    Raises:
        UsageError: it is empty, too long, given twice, or has other characters than visible ASCII.
    """
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    [key, *more] = given
    if more or not 0 < len(key) <= KEY_MAX or not all("!" <= character <= "~" for character in key):
        told = f"the header {HEADER} is one word of 1 to {KEY_MAX} visible ASCII characters, such as a UUID"
        raise UsageError(told, field=HEADER)
    said = msgspec.json.encode(msgspec.json.decode(await request.body() or b"{}"), order="sorted")
    return OrderKey(key, sha256(request.url.path.encode(), b"\n", said))
