"""Two real LDK nodes with a channel between them, shared by all tests of this folder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from peers.ldk.install import HERE, LdkMissing, install, is_required
from peers.ldk.nodes import CHANNEL_SAT, START, LdkNodes, open_channel
from peers.ldk.sidecar import LdkSidecar

_facts: list[str] = []
_missing: list[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """All tests here share one event loop, because they share the processes; without LDK they are skipped."""
    mine = [item for item in items if item.path.is_relative_to(HERE)]
    for item in mine:
        item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
    if not mine or config.option.collectonly:
        return
    began = time.monotonic()
    try:
        install()
    except LdkMissing as missing:
        _missing.append(str(missing))
        if not is_required():
            for item in mine:
                item.add_marker(pytest.mark.skip(str(missing)))
    else:
        _facts.append(f"installed, or found installed, in {time.monotonic() - began:.1f} s")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _facts:
        terminalreporter.section("LDK")
        for fact in _facts:
            terminalreporter.line(fact)


@pytest.fixture(scope="session")
def ldk_installed() -> None:
    for missing in _missing:
        pytest.fail(missing, pytrace=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ldk(ldk_installed: None) -> AsyncIterator[LdkNodes]:
    began = time.monotonic()
    payer, payee = await asyncio.gather(*[LdkSidecar.start(bytes([index]) * 32, START) for index in (0x11, 0x12)])
    try:
        started = time.monotonic()
        await open_channel(payer, payee)
        usable = time.monotonic()
        for node in (payer, payee):
            await node.call("announce")
        _facts.append(f"{payer.version.banner}, node {payer.version.node}")
        _facts.append(f"2 nodes started in {started - began:.1f} s, channel usable {usable - started:.1f} s later")
        yield LdkNodes(payer, payee)
        claimed = sum(len(node.told_since(0, "payment_claimed")) for node in (payer, payee))
        memory = [str(await node.call("memory")) for node in (payer, payee)]
        _facts.append(f"{claimed} payments claimed over the channel of {CHANNEL_SAT} sat")
        _facts.append(f"{time.monotonic() - began:.1f} s from start to end; memory then {' and '.join(memory)} MB")
    finally:
        await asyncio.gather(payer.stop(), payee.stop())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lone_ldk(ldk_installed: None) -> AsyncIterator[LdkSidecar]:
    """A third node, without channels and unable to have any: it relays, sells and buys by messages alone."""
    node = await LdkSidecar.start(b"\x13" * 32, START, channels=False)
    yield node
    await node.stop()
