"""Two Python bindings of libsecp256k1 side by side, in one run: btclib-secp256k1 (ours) and coincurve.

    python bench/libsecp256k1.py

Prints one JSON document; every figure is microseconds per call, the best of several rounds. `sha256` is the floor of
calling C from Python at all: one SHA-256 over 32 bytes with hashlib. Both libraries verify a BIP 340 signature after
making it unless told otherwise; `sign_unchecked` is without that check, where the library allows it. `_reusable` is
with a key object that is kept, where the library has one.
The reading of the figures is in docs/design/libsecp256k1.md.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from btclib_secp256k1 import ecdh, keys, ssa

ROUNDS = 25
ROUND_S = 0.02
Call = Callable[[], object]

SECRET = sha256(b"lnrecur bench key").digest()
OTHER_SECRET = sha256(b"lnrecur bench other key").digest()
DIGEST = sha256(b"lnrecur bench message").digest()
FACTOR = sha256(b"lnrecur bench factor").digest()
POINT = keys.pubkey_from_prvkey(OTHER_SECRET)
ZEROS = bytes(32)


def microseconds(calls: dict[str, Call]) -> dict[str, float]:
    """The best of several rounds. Every round takes all calls in turn, so that a busy machine disturbs them alike."""
    counts = {name: _enough(call) for name, call in calls.items()}
    rounds = [{name: _spent(call, counts[name]) for name, call in calls.items()} for _ in range(ROUNDS)]
    return {name: round(min(spent[name] for spent in rounds) / counts[name] * 1e6, 2) for name in calls}


def _enough(call: Call) -> int:
    """How many calls fill a round."""
    count = 1
    while (spent := _spent(call, count)) < ROUND_S:
        count = max(count + 1, int(count * min(10.0, 1.2 * ROUND_S / max(spent, 1e-9))))
    return count


def _spent(call: Call, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - began


def btclib_calls() -> dict[str, Call]:
    """What lnrecur/crypto calls, and the reusable signer it could call."""
    signer = ssa.Signer(SECRET)
    signature = ssa.sign(DIGEST, SECRET, ZEROS)
    public = keys.pubkey_from_prvkey(SECRET)
    return {
        "sign": lambda: ssa.sign(DIGEST, SECRET, ZEROS),
        "sign_unchecked": lambda: ssa.sign(DIGEST, SECRET, ZEROS, verify=False),
        "sign_reusable": lambda: signer.sign(DIGEST, ZEROS),
        "verify": lambda: ssa.verify(DIGEST, public, signature),
        "ecdh": lambda: ecdh.shared_secret(POINT, SECRET),
        "tweak_point": lambda: keys.pubkey_tweak_mul(POINT, FACTOR),
        "tweak_key": lambda: keys.prvkey_tweak_mul(SECRET, FACTOR),
        "derive_point": lambda: keys.pubkey_from_prvkey(SECRET),
    }


def coincurve_calls() -> dict[str, Call] | None:
    """The same work from bytes to bytes; None where coincurve is not installed (it has no wheel for Python 3.14)."""
    try:
        import coincurve
    except ImportError:
        return None
    kept = coincurve.PrivateKey(SECRET)
    signature = kept.sign_schnorr(DIGEST, ZEROS)
    public = keys.pubkey_from_prvkey(SECRET)
    return {
        "sign": lambda: coincurve.PrivateKey(SECRET).sign_schnorr(DIGEST, ZEROS),
        "sign_reusable": lambda: kept.sign_schnorr(DIGEST, ZEROS),
        "verify": lambda: coincurve.PublicKeyXOnly(public[1:]).verify(signature, DIGEST),
        "ecdh": lambda: coincurve.PrivateKey(SECRET).ecdh(POINT),
        "ecdh_reusable": lambda: kept.ecdh(POINT),
        "tweak_point": lambda: coincurve.PublicKey(POINT).multiply(FACTOR).format(),
        "tweak_key": lambda: coincurve.PrivateKey(SECRET).multiply(FACTOR).secret,
        "derive_point": lambda: coincurve.PrivateKey(SECRET).public_key.format(),
    }


def check_agreement(ours: dict[str, Call], theirs: dict[str, Call]) -> None:
    """Both must compute the same, or the comparison means nothing."""
    for name, call in theirs.items():
        if ours[name.replace("ecdh_reusable", "ecdh")]() != call():
            raise SystemExit(f"the libraries disagree about {name}")


def main() -> None:
    libraries = {"btclib-secp256k1": btclib_calls(), "coincurve": coincurve_calls()}
    calls: dict[str, Call] = {"floor sha256": lambda: sha256(DIGEST).digest()}
    for library, theirs in libraries.items():
        check_agreement(libraries["btclib-secp256k1"] or {}, theirs or {})
        calls |= {f"{library} {name}": call for name, call in (theirs or {}).items()}
    document: dict[str, Any] = {
        "bench": "libsecp256k1",
        "unit": "microseconds per call",
        "python": platform.python_version(),
        "machine": platform.machine(),
        "floor": {},
        **{library: theirs and {"version": version(library)} for library, theirs in libraries.items()},
    }
    for place, figure in microseconds(calls).items():
        group, name = place.split()
        document[group][name] = figure
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
