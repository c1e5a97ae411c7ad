"""Real lnd nodes for the tests of this folder: built once per machine, started once per run."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from lnd_build import REQUIRED, NoGo, lnd_version, programs
from lnd_network import Network, line_of_three
from lnd_orders import adapter

from lnrecur.adapters.nodes.lnd import LndNode

_REPORT = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def tell(pytestconfig: pytest.Config):
    """Says how far something slow is, through pytest's capturing."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def told(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n[lnd] {line}", end="", flush=True)

    return told


@pytest.fixture(scope="session")
def lnd_programs(tell) -> Path:
    """The folder with lnd, lncli and btcd."""
    try:
        return programs(tell)
    except NoGo as missing:
        if os.environ.get(REQUIRED):
            pytest.fail(f"{missing} ({REQUIRED} is set)")
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def network(lnd_programs: Path, tmp_path_factory: pytest.TempPathFactory, tell, report) -> Iterator[Network]:
    """btcd and A=B=C, with channels between neighbours, and D alone."""
    began = time.monotonic()
    tell("starting btcd and four lnd nodes")
    with line_of_three(lnd_programs, tmp_path_factory.mktemp("lnd")) as network:
        took = f"{time.monotonic() - began:.0f} s"
        tell(f"the network is up after {took}")
        btcd = network.btcd.ask("getinfo")["version"]
        lnd = network["A"].get("/v1/getinfo")["version"].partition(" ")[0]
        report(f"lnd {lnd} (pinned {lnd_version()}) and btcd {btcd}: A=B=C and D on regtest, up in {took}")
        yield network
        up = [node for node in network.nodes.values() if node.process and node.process.process.poll() is None]
        held = [f"{node.name} {node.balance_msat():,} msat in {len(node.channels())}" for node in up]
        report(f"at the end the channels hold: {', '.join(held)}")
        report(f"all on real nodes took {time.monotonic() - began:.0f} s")


@pytest.fixture
async def nodes(network: Network) -> AsyncIterator[dict[str, LndNode]]:
    """An adapter for each node, with the macaroon that the page bakes."""
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(adapter(lnd)) for name, lnd in network.nodes.items()}


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config):
    """Keeps a line for the end of the run."""
    return pytestconfig.stash.setdefault(_REPORT, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What the real nodes were, what moved and how long it took."""
    lines = config.stash.get(_REPORT, [])
    if lines:
        terminalreporter.section("real lnd nodes")
        for line in lines:
            terminalreporter.write_line(line)
