"""A real LDK node as a child process, spoken to in lines of JSON (sidecar/main.mjs says how)."""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lnrecur.values import NodeId

SCRIPT = Path(__file__).parent / "sidecar" / "main.mjs"
PATIENCE_SECONDS = 20.0
_LINE_MAX = 8 * 1024 * 1024
_LOG_LINES = 400

Told = dict[str, Any]


class LdkRefused(Exception):
    """LDK answered a command with an error."""


class LdkGone(Exception):
    """The process has ended."""


@dataclass(frozen=True)
class LdkVersion:
    banner: str
    node: str
    memory_mb: int


class LdkSidecar:
    """One LDK node. Use `LdkSidecar.start`, and `stop` at the end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._asked = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._watchers: list[Callable[[Told], None]] = []
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.events: list[Told] = []
        """All events so far, oldest first."""
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        """The last lines that LDK logged."""
        self.pongs = 0
        """How many pongs it logged."""
        self.seed = b""
        self.node_id = NodeId(b"")
        self.version = LdkVersion("", "", 0)
        self.port = 0

    @classmethod
    async def start(cls, seed: bytes, time: int, **options: Any) -> Self:
        """Start a node and have it listen; `options` are those of the command "start"."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            "node", str(SCRIPT), stdin=pipe, stdout=pipe, stderr=pipe, limit=_LINE_MAX, env=dict(os.environ)
        )
        node = cls(process)
        node._tasks = [asyncio.create_task(node._read_lines()), asyncio.create_task(node._read_log())]
        node.seed = seed
        told = await node.call("start", seed=seed.hex(), time=time, **options)
        node.node_id = NodeId(bytes.fromhex(told["node_id"]))
        node.version = LdkVersion(told["banner"], told["node"], told["memory_mb"])
        node.port = await node.call("listen")
        return node

    async def stop(self) -> None:
        """End the process, and wait until it is gone."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await asyncio.gather(*self._tasks)

    async def call(self, command: str, **given: Any) -> Any:
        """Ask for a command and wait for its answer.

        Raises:
            LdkRefused: it answered with an error.
            LdkGone: the process ended instead.
        """
        assert self._process.stdin is not None
        if not self._is_alive():
            raise LdkGone("\n".join(self.log))
        self._asked += 1
        waiting = self._waiting[self._asked] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": self._asked, "command": command, **given})
        self._process.stdin.write(line.encode() + b"\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await waiting

    async def until(self, command: str, expected: Callable[[Any], bool], **given: Any) -> Any:
        """Ask until the answer is the expected one."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not expected(answer := await self.call(command, **given)):
                await asyncio.sleep(0.01)
        return answer

    def watch(self, watcher: Callable[[Told], None]) -> Callable[[], None]:
        """Have a function called with every event from now on; answers what ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def mark(self) -> int:
        """Where the events stand now, for `event` and `told_since`."""
        return len(self.events)

    def told_since(self, mark: int, name: str, **expected: Any) -> list[Told]:
        """The events of a name since a mark that say what is expected."""
        return [
            event
            for event in self.events[mark:]
            if event["event"] == name and all(event.get(key) == value for key, value in expected.items())
        ]

    async def event(self, mark: int, name: str, *, within: float = PATIENCE_SECONDS, **expected: Any) -> Told:
        """The first event of a name since a mark that says what is expected; waits for it."""
        async with asyncio.timeout(within):
            while not (found := self.told_since(mark, name, **expected)):
                if not self._is_alive():
                    raise LdkGone("\n".join(self.log))
                self._news.clear()
                await self._news.wait()
        return found[0]

    def _is_alive(self) -> bool:
        return self._process.returncode is None

    async def _read_lines(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if "event" in said:
                self.events.append(said)
                for watcher in self._watchers:
                    watcher(said)
                self._news.set()
                continue
            waiting = self._waiting.pop(said["id"])
            if waiting.done():
                continue
            if "error" in said:
                waiting.set_exception(LdkRefused(said["error"]))
            else:
                waiting.set_result(said["result"])
        await self._process.wait()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(LdkGone("\n".join(self.log)))
        self._news.set()

    async def _read_log(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            text = line.decode(errors="replace").rstrip()
            self.log.append(text)
            self.pongs += "Received message Pong" in text
