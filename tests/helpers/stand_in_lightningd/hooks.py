"""What a plugin may decide. The stand-in asks here; whoever hosts plugins puts another one in its place."""

from __future__ import annotations

from typing import Any


class Hooks:
    """No plugin: everything continues."""

    async def call(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        """A hook of lightningd: htlc_accepted, invoice_payment, onion_message_recv, onion_message_recv_secret ...

        Takes as long as the plugin does. What lightningd would not understand ends the stand-in.
        """
        return {"result": "continue"}

    async def notify(self, name: str, payload: dict[str, Any]) -> None:
        """A notification: nobody answers."""

    async def command(self, method: str, params: Any) -> dict[str, Any] | None:
        """A command of a plugin's; None: no plugin has it. May raise RpcError."""
        return None
