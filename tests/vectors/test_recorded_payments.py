"""What Core Lightning recorded about paying: the invoices it paid, and its words when it did not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lnrecur.adapters.nodes.cln.failures import reason_of
from lnrecur.adapters.nodes.cln.payable import payable_text
from lnrecur.bolt12.invoice import Invoice
from lnrecur.ports import FailureReason

FOLDER = Path(__file__).parent / "data" / "cln"


def _payments() -> list[dict[str, Any]]:
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        told = json.loads(path.read_text())
        steps = told.get("steps", []) if isinstance(told, dict) else []
        found += [step for step in steps if step.get("method") in ("pay", "xpay")]
    return found


PAYMENTS = _payments()
PAID = [step["params"].get("invstring", step["params"].get("bolt11")) for step in PAYMENTS if "result" in step]
FAILED = [step["error"] for step in PAYMENTS if "error" in step]


def test_there_are_recordings() -> None:
    assert len(PAID) > 70
    assert FAILED


@pytest.mark.parametrize("text", PAID, ids=range(len(PAID)))
def test_what_core_lightning_paid_is_handed_to_it_as_it_is(text: str) -> None:
    """Recurring ones too: in its own numbers it can read them."""
    assert payable_text(Invoice.from_text(text)) == text


@pytest.mark.parametrize("error", FAILED, ids=lambda error: error["code"])
def test_what_core_lightning_said_is_understood(error: dict[str, Any]) -> None:
    assert reason_of(error["code"], error["message"]) == (FailureReason.REFUSED_BY_PAYEE, False)
