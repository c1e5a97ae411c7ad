"""Core Lightning's words for why a payment failed, in ours.

Codes: common/jsonrpc_errors.h; words: plugins/xpay/xpay.c and plugins/askrene. xpay tells a failure to who called it
and keeps no record of why, so what it said is kept in a note (notes.py), as code and message.
"""

from __future__ import annotations

from typing import Final

from lnrecur.ports import FailureReason

DESTINATION_REFUSED: Final = 203
NO_ROUTE: Final = 205
TOO_EXPENSIVE: Final = 206
EXPIRED: Final = 207
OTHER_FAILURE: Final = 209
ALREADY_PAID: Final = (218, 219)
NOT_APPROVED: Final = 213
INVALID: Final = -32602
CUT_OFF: Final = 0
"""Ours: nobody heard what xpay said, because lightningd or we were restarted."""
INSUFFICIENT: Final = 1
"""Ours: the channels do not hold that much; xpay says no more than that there is no route."""
_INSIDE_BLINDED: Final = "inside the blinded path"
_LIMITS: Final = ("htlc_maximum_msat", "htlc_minumum_msat", "htlc_minimum_msat")
"""The second is how askrene spells it."""
UNKNOWN_START: Final = "Could not resolve any paths"
"""Paths that begin at channels nobody has heard of yet."""
_COST: Final = "excessive cost"
_DELAYS: Final = "excessive delays"


def reason_of(code: int, message: str) -> tuple[FailureReason, bool]:
    """Why it failed, and whether the same invoice may be tried again."""
    if code == DESTINATION_REFUSED:
        return FailureReason.REFUSED_BY_PAYEE, False
    if code == EXPIRED:
        return FailureReason.EXPIRED, False
    if code == INSUFFICIENT:
        return FailureReason.INSUFFICIENT_FUNDS, True
    if (code == TOO_EXPENSIVE and _DELAYS not in message) or _COST in message:
        return FailureReason.FEE_LIMIT, True
    if code in (NO_ROUTE, OTHER_FAILURE) and _INSIDE_BLINDED in message:
        # Whatever goes wrong inside a blinded path, the payee's no included, comes back as one failure of its first
        # node. A new invoice has a new path, so this one is not tried again.
        return FailureReason.REFUSED_BY_PAYEE, False
    if any(limit in message for limit in _LIMITS):
        return FailureReason.OTHER, False
    if code in (NO_ROUTE, TOO_EXPENSIVE, OTHER_FAILURE):
        return FailureReason.NO_ROUTE, True
    if code in (INVALID, NOT_APPROVED):
        return FailureReason.OTHER, False
    return FailureReason.OTHER, True
