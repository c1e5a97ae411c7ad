"""Plugins in a stand-in: real processes, spoken to over their stdin and stdout, and judged as lightningd judges them.

What makes lightningd kill a plugin kills it here (`killed` says why): a text that is no JSON object or has no
"jsonrpc", an answer to nothing that was asked. What aborts lightningd ends the stand-in: an error in answer to a hook.
A plugin that dies is out of its hooks: they continue.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.stand_in_lightningd.framing import RpcError
from helpers.stand_in_lightningd.hooks import Hooks

if TYPE_CHECKING:
    from helpers.stand_in_lightningd.node import StandIn

START_S_MAX = 60
STOP_S_MAX = 30
PLUGIN_TERMINATED = -4
_LEVELS = ("debug", "info", "warn", "error")
_MUST = ("options", "rpcmethods")


@dataclass(eq=False)
class Plugin:
    """One process."""

    command: list[str]
    process: asyncio.subprocess.Process
    manifest: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    answered: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Hooks and their answers, in order."""
    killed: str | None = None
    disabled: str | None = None

    @property
    def hooks(self) -> list[str]:
        return [hook["name"] for hook in self.manifest.get("hooks", ())]

    @property
    def methods(self) -> list[str]:
        return [method["name"] for method in self.manifest.get("rpcmethods", ())]

    def lines(self) -> str:
        return "\n".join(f"{level} {line}" for level, line in self.log)


class PluginHost(Hooks):
    """The plugins of one stand-in: `start` them once it listens, `stop` them before it does."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.plugins: list[Plugin] = []
        self._environment = dict(os.environ if environment is None else environment)
        self._ids = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._node: StandIn | None = None

    async def start(self, node: StandIn, *command: str, startup: bool = True, **options: str) -> Plugin:
        """Run a plugin up to the end of `init`; a disabled or killed one is returned too."""
        self._node = node
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=node.folder,
            env={**self._environment, "LIGHTNINGD_PLUGIN": "1", "LIGHTNINGD_VERSION": node.version},
            limit=1 << 26,
        )
        plugin = Plugin(list(command), process)
        self._spawn(self._listen(plugin))
        async with asyncio.timeout(START_S_MAX):
            plugin.manifest = await self._ask(plugin, "getmanifest", {"allow-deprecated-apis": False})
            self._check(plugin.manifest)
            self.plugins.append(plugin)
            defaults = {option["name"]: option["default"] for option in plugin.manifest["options"]}
            configuration = {
                "lightning-dir": str(node.folder),
                "rpc-file": node.rpc_file.name,
                "startup": startup,
                "network": node.chain,
                "feature_set": {"init": "08a0000a0a69a2", "node": "88a0000a0a69a2", "channel": "", "invoice": ""},
                "torv3-enabled": False,
                "always_use_proxy": False,
            }
            told = await self._ask(plugin, "init", {"options": {**defaults, **options}, "configuration": configuration})
        if "disable" in told:
            plugin.disabled = told["disable"]
            await self._end(plugin)
        return plugin

    async def stop(self, plugin: Plugin) -> int:
        """As `plugin stop`: tell it, and wait; answers its exit code."""
        if plugin in self.plugins:
            self.plugins.remove(plugin)
        if "shutdown" in plugin.manifest.get("subscriptions", ()):
            self._write(plugin, {"jsonrpc": "2.0", "method": "shutdown", "params": {}})
        assert plugin.process.stdin is not None
        try:
            async with asyncio.timeout(STOP_S_MAX):
                return await plugin.process.wait()
        except TimeoutError:
            plugin.killed = "did not stop"
            await self._end(plugin)
            return -9

    async def stop_all(self) -> None:
        for plugin in list(self.plugins):
            await self.stop(plugin)
        for task in set(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- `Hooks`

    async def call(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        for plugin in [plugin for plugin in self.plugins if name in plugin.hooks]:
            try:
                answer = await self._ask(plugin, name, payload)
            except PluginGone:
                continue  # as if it had said so before it went
            except RpcError as error:
                assert self._node is not None
                self._node.crash(f"Plugin for {name} returned non-result response {error.shape()}")
                await asyncio.Event().wait()
            plugin.answered.append((name, answer))
            if answer.get("result") != "continue":
                return answer
        return {"result": "continue"}

    async def notify(self, name: str, payload: dict[str, Any]) -> None:
        for plugin in self.plugins:
            if name in plugin.manifest.get("subscriptions", ()):
                self._write(plugin, {"jsonrpc": "2.0", "method": name, "params": payload})

    async def command(self, method: str, params: Any) -> dict[str, Any] | None:
        for plugin in self.plugins:
            if method in plugin.methods:
                try:
                    return await self._ask(plugin, method, params)
                except PluginGone as error:
                    raise RpcError(PLUGIN_TERMINATED, "Plugin terminated before replying to RPC call.") from error
        return None

    # --- its pipes

    async def _ask(self, plugin: Plugin, method: str, params: Any) -> dict[str, Any]:
        asked = f"cln:{method}#{next(self._ids)}"
        answer = plugin.asked[asked] = asyncio.get_running_loop().create_future()
        if plugin.process.returncode is not None or plugin.killed:
            raise PluginGone(plugin.killed or "exited")
        self._write(plugin, {"jsonrpc": "2.0", "id": asked, "method": method, "params": params})
        told = await answer
        if "error" in told:
            error = told["error"]
            raise RpcError(error["code"], error["message"], error.get("data"))
        result: dict[str, Any] = told["result"]
        return result

    def _write(self, plugin: Plugin, document: dict[str, Any]) -> None:
        assert plugin.process.stdin is not None
        with contextlib.suppress(ConnectionError, RuntimeError):
            plugin.process.stdin.write(json.dumps(document).encode() + b"\n\n")

    async def _listen(self, plugin: Plugin) -> None:
        assert plugin.process.stdout is not None
        try:
            while True:
                text = await plugin.process.stdout.readuntil(b"\n\n")
                if why := self._take(plugin, text):
                    plugin.killed = why
                    print(f"stand-in lightningd: killed a plugin: {why}", file=sys.stderr, flush=True)
                    plugin.process.kill()
                    break
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            rest = getattr(error, "partial", b"").strip()
            if rest and plugin.process.returncode is None:
                plugin.killed = f"ended within {rest[:80]!r}"
        finally:
            if plugin in self.plugins:
                self.plugins.remove(plugin)
            for future in plugin.asked.values():
                if not future.done():
                    future.set_exception(PluginGone(plugin.killed or "exited"))
                    future.exception()
        await plugin.process.wait()

    def _take(self, plugin: Plugin, text: bytes) -> str | None:
        """One text of the plugin's; why it must be killed for it, if it must."""
        try:
            told = json.loads(text)
        except ValueError:
            return f"no JSON: {text[:80]!r}"
        if not isinstance(told, dict) or told.get("jsonrpc") != "2.0":
            return 'JSON-RPC message does not contain "jsonrpc" field'
        if "id" in told:
            future = plugin.asked.pop(told["id"], None) if isinstance(told["id"], str) else None
            if future is None:
                return f"Received a JSON-RPC response for non-existent request {told['id']!r}"
            if ("result" in told) == ("error" in told):
                return "an answer has either a result or an error"
            if not future.done():
                future.set_result(told)
            return None
        if told.get("method") != "log":
            return f"a notification that was not announced: {told.get('method')!r}"
        level, line = told["params"]["level"], told["params"]["message"]
        if level not in _LEVELS:
            return f"Unknown log-level {level}"
        plugin.log.append((level, line))
        return None

    def _check(self, manifest: dict[str, Any]) -> None:
        """What lightningd looks for in a manifest."""
        assert all(name in manifest for name in _MUST)
        for option in manifest["options"]:
            assert {"name", "type", "description"} <= option.keys()
            assert option["type"] in ("string", "int", "bool", "flag")
        for method in manifest["rpcmethods"]:
            assert all(isinstance(method[name], str) for name in ("name", "usage", "description"))

    async def _end(self, plugin: Plugin) -> None:
        if plugin in self.plugins:
            self.plugins.remove(plugin)
        with contextlib.suppress(ProcessLookupError):
            plugin.process.kill()
        await plugin.process.wait()

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class PluginGone(Exception):
    """It died before it answered."""


def plugin_log(folder: Path) -> str:
    """What a stand-in process wrote of its plugins' logs."""
    file = folder / "plugins.log"
    return file.read_text() if file.exists() else ""
