"""One fuzz target under atheris; `run.py` starts it. Arguments: the target's name, then those of libFuzzer."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

with atheris.instrument_imports(include=["lnrecur"]):
    from fuzz.invariants import CHECKS
    from fuzz.mutator import mutated


def main() -> None:
    """Hand over to libFuzzer, which does not come back."""
    check = CHECKS[sys.argv.pop(1)]
    atheris.Setup(
        sys.argv,
        check,
        custom_mutator=lambda data, size_max, seed: mutated(data, size_max, seed, atheris.Mutate),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
