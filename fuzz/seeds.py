"""Where fuzzing starts: the committed corpus, and every message of its kind in the test vectors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT / "fuzz" / "corpus"
VECTORS = ROOT / "tests" / "vectors" / "data"
PREFIXES = {"offer": "lno", "invoice_request": "lnr", "invoice": "lni"}


def seeds(target: str) -> list[bytes]:
    """All different inputs for a target, shortest first."""
    found = {path.read_bytes() for path in (CORPUS / target).iterdir()} if (CORPUS / target).is_dir() else set()
    found |= set(_errors() if target == "invoice_error" else _messages(PREFIXES[target]))
    return sorted(found, key=lambda data: (len(data), data))


def _messages(prefix: str) -> Iterator[bytes]:
    """Texts as they stand, broken ones included, and the bytes of those that can be read."""
    from lnrecur.errors import LnrecurError
    from lnrecur.wire.text import decode_text

    for text in _strings():
        if text[:3].lower() != prefix and not (prefix == "lno" and "+" in text):
            continue
        yield text.encode()
        try:
            yield decode_text(text)[1]
        except LnrecurError:
            continue  # a vector of something that cannot be read


def _errors() -> Iterator[bytes]:
    for value in _walk(*(json.loads(path.read_text()) for path in VECTORS.rglob("*.json"))):
        if isinstance(value, dict) and value.get("kind") == "invoice_error":
            yield bytes.fromhex(value.get("tlv_hex") or value.get("hex") or "")


def _strings() -> Iterator[str]:
    for value in _walk(*(json.loads(path.read_text()) for path in VECTORS.rglob("*.json"))):
        if isinstance(value, str) and value[:2].lower() in ("ln", "l+") and "1" in value[:6]:
            yield value


def _walk(*values: Any) -> Iterator[Any]:
    for value in values:
        yield value
        if isinstance(value, dict):
            yield from _walk(*value.values())
        elif isinstance(value, list):
            yield from _walk(*value)
