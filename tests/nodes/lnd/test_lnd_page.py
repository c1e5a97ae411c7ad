"""docs/nodes/lnd.md is done what it says, by two people with an lnd each and nothing else."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lnd_network import Lnd, Network, Process, wait_until

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[3] / "docs" / "nodes" / "lnd.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
ANY_PORT = "--peer-listen 127.0.0.1:0 --http-listen 127.0.0.1:0"


class Person:
    """Follows the page, in a home of their own. Only what names a place is another one: ports, and lncli's network."""

    def __init__(self, folder: Path, lnd: Lnd, relay: str) -> None:
        self.folder, self.lnd, self.relay = folder, lnd, relay
        programs = folder / "bin"
        programs.mkdir(parents=True)
        lnd_home = folder / ".lnd"
        lnd_home.mkdir()
        (lnd_home / "tls.cert").symlink_to(lnd.certificate)
        self._write(programs / "lncli", f'exec {" ".join(lnd.cli_command())} "$@"')
        self._write(programs / "lnrecur", f'exec {sys.executable} -m lnrecur "$@"')
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LNRECUR_", "XDG_"))}
        self.environment = {**kept, "HOME": str(folder), "PATH": f"{programs}:{os.environ['PATH']}"}

    def _write(self, file: Path, line: str) -> None:
        file.write_text(f"#!/bin/sh\n{line}\n")
        file.chmod(0o755)

    def does(self, text: str) -> str:
        """Type this into a shell."""
        done = subprocess.run(
            ["sh", "-euc", text], env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def running(self, command: str) -> Iterator[Process]:
        """Leave this running in another window."""
        log = self.folder / "run.log"
        process = Process(["env", *(f"{name}={value}" for name, value in self.environment.items()), "sh", "-c",
                           f"exec {command}"], log)  # fmt: skip
        try:
            wait_until(lambda: "lnrecur runs" in log.read_text(), "the daemon")
            yield process
        finally:
            process.stop()


def test_from_lnd_to_the_first_subscription(network: Network, tmp_path: Path, report: Callable[[str], None]) -> None:
    bake, lnrecur, trade = BLOCKS
    seller = Person(tmp_path / "seller", network["C"], network["B"].address)
    buyer = Person(tmp_path / "buyer", network["A"], network["B"].address)
    init, doctor, run = lnrecur.strip().splitlines()
    create, subscribe, listing = trade.strip().splitlines()
    assert (init, doctor, run) == ("lnrecur init --lnd", "lnrecur doctor", "lnrecur run")
    assert "lno1..." in subscribe
    for person in (seller, buyer):
        person.does(bake)
        assert stat.S_IMODE((person.folder / ".lnd" / "lnrecur.macaroon").stat().st_mode) == 0o600
        made = person.does(f"{init} {person.lnd.url} --peer {person.relay} {ANY_PORT}")
        assert f"LND 0.21.2-beta ({person.lnd.node_id}) on regtest" in made
        looked = person.does(doctor)
        assert "the macaroon allows all that is needed" in looked
    with seller.running(run), buyer.running(run):
        for person in (seller, buyer):
            wait_until(lambda person=person: "1 connected, 1 take onion messages" in person.does(doctor), "its peer")
        offer = seller.does(create).split()[0]
        assert offer.startswith("lno1")
        buyer.does(f"{subscribe.replace('lno1...', offer)} --yes")
        wait_until(lambda: re.search(r"\b1\b.*1,000 sat|1,000 sat.*\b1\b", buyer.does(listing)), "the first payment")
        assert "The weekly" in buyer.does(listing)
    invoices = network["C"].get("/v1/invoices", reversed="true", num_max_invoices="1")["invoices"]
    assert re.search(r"The weekly.* lnrecur:\d+:\S+$", invoices[0]["memo"])
    [paid] = network["A"].get("/v1/payments", reversed="true", max_payments="1")["payments"]
    described = network["A"].get(f"/v1/payreq/{paid['payment_request']}")["description"]
    assert re.search(r"The weekly.* \(lnrecur, fees up to \d+ msat\)$", described)
    report("docs/nodes/lnd.md, command by command: a weekly subscription of 1,000 sat is paid")
