"""The commands of docs/nodes/cln.md that can run without a Core Lightning are run, in their order, on stand-ins."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.daemons import CLEAN, LNRECUR, Daemon, lnrecur, wait_for
from helpers.leash import leashed
from helpers.stand_in_lightningd import Network, Process

pytestmark = pytest.mark.slow
PAGE = (Path(__file__).parents[2] / "docs" / "nodes" / "cln.md").read_text()
CHANNEL = (100_000_000, 100_000_000)


def commands() -> list[str]:
    """What a person types at lnrecur on the way from an empty machine to a first subscription."""
    section = PAGE.split("\n## From an empty machine to the first subscription\n")[1].split("\n## ")[0]
    lines = [line for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]
    return [line for line in lines if line.startswith("lnrecur ")]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Process]]:
    """Ours, where lightningd has its files by default, and the shop's."""
    network = Network(tmp_path / "network.sqlite")
    made = [Process(tmp_path / name, network.file) for name in ("home/.lightning/regtest", "shop-node")]
    for node in made:
        node.start()
    network.open_channel(made[0].id, made[1].id, CHANNEL)
    yield made
    for node in made:
        node.stop()
    network.close()


def test_the_page_leads_from_nothing_to_a_first_payment(nodes: list[Process], tmp_path: Path) -> None:
    typed = commands()
    assert [line.split()[1] for line in typed] == ["init", "doctor", "run", "offer", "subscribe", "subscriptions"]
    shop = Daemon(tmp_path / "shop", ["--cln", "--rpc-file", str(nodes[1].rpc_file)])
    home = {"HOME": str(tmp_path / "home"), "LNRECUR_PEER_LISTEN": "127.0.0.1:0", "LNRECUR_HTTP_LISTEN": "127.0.0.1:0"}
    environment = {**{name: value for name, value in CLEAN.items() if not name.startswith("XDG_")}, **home}
    shop.start()
    said = {
        "NODE_ID@127.0.0.1:39735": shop.address,  # a stand-in speaks no BOLT 8; the shop's daemon does
        "lno1...": shop.ask("offer", "create", "The weekly", "--amount", "1000sat", "--every", "1w")["offer"],
    }
    daemon: subprocess.Popen[str] | None = None
    log = (tmp_path / "run.log").open("w+")
    try:
        for line in typed:
            words = [said.get(word, word) for word in shlex.split(line)[1:]]
            if words == ["run"]:
                command = leashed([*LNRECUR, *words])
                daemon = subprocess.Popen(command, stdout=log, stderr=log, text=True, env=environment)
                wait_for(lambda: True if "lnrecur runs" in Path(log.name).read_text() else None, 30, lambda: log.name)
                shop.wait_for_peers(1)
                continue
            done = lnrecur(*words, env=environment, input="y\n")
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert "The weekly" in done.stdout

        def paid() -> list[object] | None:
            return [one for one in shop.sold() if one["payments"]] or None

        wait_for(paid, 20, lambda: Path(log.name).read_text())
    finally:
        shop.kill()
        if daemon is not None:
            daemon.terminate()
            daemon.communicate()
        log.close()
