"""`python -m helpers.stand_in_lightningd --lightning-dir=DIR --network-file=FILE`: a stand-in as a process.

With `--plugin=PATH` it runs a plugin, with `--plugin-option=NAME=VALUE` for its options.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from pathlib import Path

from helpers.stand_in_lightningd.node import StandIn
from helpers.stand_in_lightningd.onions import Onions
from helpers.stand_in_lightningd.plugins import PluginHost


async def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for lightningd, for tests. It is not Core Lightning.")
    parser.add_argument("--lightning-dir", type=Path, required=True)
    parser.add_argument("--network-file", type=Path, required=True)
    parser.add_argument("--network", default="regtest")
    parser.add_argument("--plugin", action="append", default=[])
    parser.add_argument("--plugin-option", action="append", default=[])
    told = parser.parse_args()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    host = PluginHost()
    node = StandIn(told.lightning_dir, told.network_file, chain=told.network, hooks=host, is_process=True)
    onions = Onions(node, on_offers=lambda message: print(f"offers plugin: {json.dumps(message)}", flush=True))
    options = dict(option.split("=", 1) for option in told.plugin_option)

    async def plugins() -> None:
        for path in told.plugin:
            plugin = await host.start(node, path, **options)
            if plugin.disabled or plugin.killed:
                print(f"plugin {path}: {plugin.disabled or plugin.killed}", flush=True)

    await node.start(plugins)
    onions.start()
    print(f"Server started with public key {node.id}", flush=True)
    await stop.wait()
    await host.stop_all()
    await node.close()


if __name__ == "__main__":
    asyncio.run(main())
