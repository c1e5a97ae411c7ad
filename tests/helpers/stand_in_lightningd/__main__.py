"""`python -m helpers.stand_in_lightningd --lightning-dir=DIR --network-file=FILE`: a stand-in as a process."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from helpers.stand_in_lightningd.node import StandIn


async def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for lightningd, for tests. It is not Core Lightning.")
    parser.add_argument("--lightning-dir", type=Path, required=True)
    parser.add_argument("--network-file", type=Path, required=True)
    parser.add_argument("--network", default="regtest")
    told = parser.parse_args()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    node = StandIn(told.lightning_dir, told.network_file, chain=told.network, is_process=True)
    await node.start()
    print(f"Server started with public key {node.id}", flush=True)
    await stop.wait()
    await node.close()


if __name__ == "__main__":
    asyncio.run(main())
