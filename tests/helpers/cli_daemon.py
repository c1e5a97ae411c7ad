"""The command, run in this process, against a real daemon in a process of its own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from helpers.daemons import CLEAN, Daemon
from lnrecur.bolt12 import OfferTerms, Recurrence, TimeUnit
from lnrecur.bolt12.offer import write_offer
from lnrecur.cli.main import main
from lnrecur.crypto.keys import PrivateKey
from lnrecur.values import REGTEST

# Nobody listens there: what is subscribed to in these tests stays unanswered.
NOBODY = f"{PrivateKey(bytes([0x63]) * 32).point.hex()}@127.0.0.1:1"


def run(*args: str | Path, home: Path | None = None, answer: str | None = None, **environment: str) -> Result:
    """Run `lnrecur ARGS`; an exception that comes out of it is a bug and fails the test."""
    told = {**dict.fromkeys(("LNRECUR_HOME", "LNRECUR_HTTP_LISTEN")), **environment}
    flags = [] if home is None else ["--home", str(home)]
    runner = CliRunner(env=told)
    result = runner.invoke(main, [*map(str, args), *flags], input=answer, prog_name="lnrecur", catch_exceptions=False)
    assert "Traceback" not in result.output
    return result


class Commands:
    """The commands over one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def run(self, *args: str, answer: str | None = None) -> Result:
        return run(*args, home=self.daemon.folder, answer=answer)

    def ask(self, *args: str) -> Any:
        """Run a command with --json and read what it prints."""
        result = self.run(*args, "--json")
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        return json.loads(result.stdout)


@contextmanager
def commands(folder: Path) -> Iterator[Commands]:
    """A daemon of its own, stopped at the end."""
    assert not any(name.startswith("LNRECUR_") for name in CLEAN)
    daemon = Daemon(folder / "home", folder / "money.sqlite")
    daemon.start()
    try:
        yield Commands(daemon)
    finally:
        daemon.terminate()


def an_offer(recurrence: Recurrence | None, **changes: Any) -> str:
    """Somebody else's offer: 1,000 sat, by a node that nobody can reach."""
    terms: dict[str, Any] = {
        "description": "coffee club",
        "amount": 1_000_000,
        "chains": (REGTEST,),
        "issuer_id": PrivateKey(bytes([0x63]) * 32).point,
        "recurrence": recurrence,
    }
    return write_offer(OfferTerms(**{**terms, **changes})).to_text()


MONTHLY = Recurrence(TimeUnit.MONTHS, 1)
