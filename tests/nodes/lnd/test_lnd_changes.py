"""What happens to a running adapter: its files change, its lnd is locked, and payments come while it is away."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from lnd_network import Lnd, LndSaysNo, Network, wait_until
from lnd_orders import PRICE, access, adapter, ended, payable, until

from helpers.daemons import processes_that_mention
from lnrecur.adapters.clock import SystemClock
from lnrecur.adapters.nodes.lnd import LndAccess, LndNode, LndUnavailable, Trouble
from lnrecur.adapters.nodes.lnd.permissions import bake_command
from lnrecur.ports import Receipt, ReceivedState
from lnrecur.values import REGTEST, PaymentHash

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
T = TypeVar("T")


async def trouble_of(node: LndNode) -> Trouble | None:
    try:
        await node.info()
    except LndUnavailable as error:
        return error.trouble
    return None


async def until_it(look: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await look():
            await asyncio.sleep(0.05)


# --- files


async def test_a_renewed_certificate_needs_no_restart_of_ours(network: Network) -> None:
    lnd = network["D"]
    async with adapter(lnd) as node:
        before = (await node.info()).node_id
        old = lnd.certificate.read_bytes()
        lnd.stop()
        assert await trouble_of(node) is Trouble.UNREACHABLE
        lnd.certificate.unlink()
        (lnd.folder / "tls.key").unlink()
        lnd.restart()
        assert lnd.certificate.read_bytes() != old
        assert (await node.info()).node_id == before


async def test_a_macaroon_whose_root_key_is_deleted_opens_nothing_and_one_baked_anew_does(
    network: Network, tmp_path: Path
) -> None:
    lnd, file = network["C"], tmp_path / "lnrecur.macaroon"

    def bake(root_key: int) -> None:
        command = bake_command(str(file)).replace("\\\n", " ").split()[1:]
        lnd.cli(*command, f"--root_key_id={root_key}")

    bake(7)
    async with LndNode(access(lnd, macaroon=file), SystemClock(), chain=REGTEST) as node:
        assert await trouble_of(node) is None
        lnd.cli("deletemacaroonid", "7")
        assert await trouble_of(node) is Trouble.WRONG_MACAROON
        [finding] = await node.diagnose()
        assert "docs/nodes/lnd.md" in finding.way_out
        bake(8)
        assert await trouble_of(node) is None
        file.unlink()
        assert await trouble_of(node) is Trouble.WRONG_MACAROON
        bake(8)
        assert await trouble_of(node) is None


# --- a wallet of a person


def make_wallet(lnd: Lnd, password: str) -> None:
    """What `lncli create` does."""
    context = ssl.create_default_context(cafile=str(lnd.certificate))
    with httpx.Client(base_url=lnd.url, verify=context, timeout=30, trust_env=False) as client:
        answer = client.get("/v1/genseed")
        if not answer.is_success:
            raise LndSaysNo(answer.text)
        seed = answer.json()["cipher_seed_mnemonic"]
        body: dict[str, Any] = {"wallet_password": _b64(password), "cipher_seed_mnemonic": seed}
        client.post("/v1/initwallet", json=body).raise_for_status()


def unlock(lnd: Lnd, password: str) -> None:
    """What `lncli unlock` does."""
    context = ssl.create_default_context(cafile=str(lnd.certificate))
    with httpx.Client(base_url=lnd.url, verify=context, timeout=30, trust_env=False) as client:
        client.post("/v1/unlockwallet", json={"wallet_password": _b64(password)}).raise_for_status()


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_a_locked_wallet_is_told_and_everything_goes_on_once_it_is_unlocked(
    network: Network, report: Callable[[str], None]
) -> None:
    lnd = network.lone("E")
    lnd.wallet_flags = ()
    lnd.launch()
    seen: list[str] = []
    try:
        wait_until(lnd.certificate.exists, "a certificate")
        wait_until(lambda: make_wallet(lnd, "a password") or True, "a wallet")
        wait_until(lnd.macaroon.exists, "a macaroon")
        lnd.wait_until_up()
        async with LndNode(LndAccess(lnd.url, lnd.macaroon, lnd.certificate), SystemClock(), chain=REGTEST) as node:
            lnd.stop()
            lnd.launch()

            async def comes_to(trouble: Trouble | None) -> None:
                async def is_there() -> bool:
                    found = await trouble_of(node)
                    word = "up" if found is None else found.value
                    if seen[-1:] != [word]:
                        seen.append(word)
                    return found is trouble

                await until_it(is_there)

            await comes_to(Trouble.LOCKED)
            [finding] = await node.diagnose()
            assert "lncli unlock" in finding.way_out
            unlock(lnd, "a password")
            await comes_to(None)
            assert (await node.info()).node_id.hex() == lnd.node_id
    finally:
        lnd.kill()
    assert set(seen) <= {"unreachable", "locked", "starting", "not_synced", "up"}, seen
    report(f"an lnd with a locked wallet was seen as {', '.join(seen)}")


# --- payments that come while we are away


async def test_nothing_is_missed_of_what_happened_while_nobody_listened(
    network: Network, nodes: dict[str, LndNode], report: Callable[[str], None]
) -> None:
    """Claimed by lnd, held, cancelled, still open: as they were left, and everything that ended later is told too."""
    payer, lnd = nodes["A"], network["C"]
    last = lnd.get("/v1/invoices", reversed="true", num_max_invoices="1")["last_index_offset"]
    cursor = f"lnd:{last}"
    async with adapter(lnd, hold=False) as claiming:
        _, first = await payable(claiming)
        await payer.pay(first)
        [seen] = await receipts_of(claiming, cursor, 1)  # handled, and then we are gone
        assert seen.payment_hash == first.payment_hash
        made = [await payable(claiming) for _ in range(3)]
    async with adapter(lnd) as holding:
        held_order, held = await payable(holding)
        _, cancelled = await payable(holding)
        _, still_open = await payable(holding)
        await holding.cancel(cancelled.payment_hash)
    for _, payment in made:  # nobody of ours listens
        await payer.pay(payment)
        assert (await ended(payer, payment)).preimage is not None
    await payer.pay(held)
    await until(nodes["C"], held, ReceivedState.CLAIMABLE)
    network["C"].stop()  # and lnd is restarted meanwhile
    network["C"].restart()
    async with adapter(lnd) as back:

        async def is_back() -> bool:
            return await trouble_of(back) is None

        await until_it(is_back)
        await until(back, held, ReceivedState.CLAIMABLE)
        told = await receipts_of(back, seen.cursor, 5)
        ends = {receipt.payment_hash: receipt.state for receipt in told}
        expected: dict[PaymentHash, ReceivedState] = {
            payment.payment_hash: ReceivedState.CLAIMED for _, payment in made
        }
        expected |= {held.payment_hash: ReceivedState.CLAIMABLE, cancelled.payment_hash: ReceivedState.CANCELED}
        assert ends == expected
        assert all(receipt.amount_msat == PRICE for receipt in told if receipt.state is not ReceivedState.CANCELED)
        await back.claim(held_order.preimage)
        await back.cancel(still_open.payment_hash)
        later = await receipts_of(back, told[-1].cursor, 2, last_of={held.payment_hash, still_open.payment_hash})
        assert {(receipt.payment_hash, receipt.state) for receipt in later} >= {
            (held.payment_hash, ReceivedState.CLAIMED), (still_open.payment_hash, ReceivedState.CANCELED),
        }  # fmt: skip
        assert (await ended(payer, held)).preimage == held_order.preimage
    report("paid, held and cancelled while nobody listened and lnd was restarted: all of it told afterwards")


async def receipts_of(node: LndNode, cursor: str, count: int, last_of: set[PaymentHash] | None = None) -> list[Receipt]:
    """So many receipts behind a cursor; with `last_of`, on until each of these has ended."""
    found: list[Receipt] = []
    waiting = set(last_of or ())
    stream = node.receipts(cursor)
    async with asyncio.timeout(60):
        async for receipt in stream:
            found.append(receipt)
            if receipt.state is not ReceivedState.CLAIMABLE:
                waiting.discard(receipt.payment_hash)
            if len(found) >= count and not waiting:
                break
    await stream.aclose()
    return found


# --- the tests themselves

CHILD = """
import sys, time
from pathlib import Path
sys.path[:0] = [sys.argv[2], sys.argv[3]]
from lnd_network import Network
network = Network(Path(sys.argv[1]), Path(sys.argv[4]), names="A")
print(network.btcd.process.process.pid, network["A"].process.process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no other kernel can be asked for it")
def test_btcd_and_lnd_die_with_the_tests_that_are_killed(lnd_programs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    command = [sys.executable, "-c", CHILD, str(lnd_programs), str(HERE), str(HERE.parents[1]), str(folder)]
    tests = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert tests.stdout is not None
    with tests.stdout:
        assert len(tests.stdout.readline().split()) == 2
    assert len(processes_that_mention(f"{folder}/A")) >= 1
    os.kill(tests.pid, signal.SIGKILL)
    tests.wait(10)
    until = time.monotonic() + 10
    while processes_that_mention(str(folder)) and time.monotonic() < until:
        time.sleep(0.02)
    assert processes_that_mention(str(folder)) == []
