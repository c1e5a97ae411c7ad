"""Commands that tell about the node and the network, and the datastore."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from helpers.stand_in_lightningd.framing import RpcError
from lnrecur.crypto.hashes import sha256

if TYPE_CHECKING:
    from helpers.stand_in_lightningd.node import StandIn

FEATURES = "808898882a8a59a1"
"""What a v26.09-pre announces: blinds routes (24), carries onion messages (39) ..."""


class Telling:
    """What one stand-in tells."""

    def __init__(self, node: StandIn) -> None:
        self._node = node
        self.network = node.network
        self.commands = {
            "getinfo": self.getinfo,
            "listconfigs": self.listconfigs,
            "listpeers": self.listpeers,
            "listpeerchannels": self.listpeerchannels,
            "listincoming": self.listincoming,
            "listchannels": self.listchannels,
            "listnodes": self.listnodes,
            "makesecret": self.makesecret,
            "connect": self.connect,
            "plugin": self.plugin,
            "datastore": self.datastore,
            "listdatastore": self.listdatastore,
            "deldatastore": self.deldatastore,
        }

    async def getinfo(self, params: dict[str, Any]) -> dict[str, Any]:
        channels = self._channels()
        told = {
            "id": self._node.id,
            "alias": self._node.alias,
            "color": self._node.id[:6],
            "num_peers": len(channels),
            "num_pending_channels": 0,
            "num_active_channels": sum(1 for one in channels if one["is_up"]),
            "num_inactive_channels": sum(1 for one in channels if not one["is_up"]),
            "address": [],
            "binding": [],
            "version": self._node.version,
            "blockheight": self.network.height,
            "network": self._node.chain,
            "fees_collected_msat": 0,
            "lightning-dir": str(self._node.folder),
            "our_features": {"init": FEATURES[2:], "node": FEATURES, "channel": "", "invoice": "02000022024100"},
        }
        return told | self._node.warnings

    async def listconfigs(self, params: dict[str, Any]) -> dict[str, Any]:
        configs = {
            "cltv-final": {"value_int": self._node.cltv_final, "source": "default"},
            "autoclean-paidinvoices-age": {"value_int": 0, "source": "default", "plugin": "autoclean"},
            **self._node.configs,
        }
        if "config" not in params:
            return {"configs": configs}
        if params["config"] not in configs:
            raise RpcError(-32602, f"Unknown config option '{params['config']}'")
        return {"configs": {params["config"]: configs[params["config"]]}}

    async def listpeers(self, params: dict[str, Any]) -> dict[str, Any]:
        peers: dict[str, dict[str, Any]] = {}
        for channel in self._channels():
            peer = self._other(channel)
            known = peers.setdefault(peer, {"id": peer, "connected": False, "num_channels": 0})
            known["num_channels"] += 1
            if channel["is_up"]:
                known |= {"connected": True, "netaddr": ["127.0.0.1:9735"], "features": self._features(peer)}
        for peer in self._node.connected:
            told = {"connected": True, "netaddr": ["127.0.0.1:9735"], "features": self._features(peer)}
            peers[peer] = {"num_channels": 0, **peers.get(peer, {"id": peer}), **told}
        return {"peers": [peer for peer in peers.values() if params.get("id") in (None, peer["id"])]}

    async def listpeerchannels(self, params: dict[str, Any]) -> dict[str, Any]:
        return {
            "channels": [self._channel(one) for one in self._channels() if params.get("id") in (None, self._other(one))]
        }

    def _channel(self, channel: Any) -> dict[str, Any]:
        us, them = (1, 2) if channel["node1"] == self._node.id else (2, 1)
        ours, theirs = json.loads(channel[f"terms{us}"]), json.loads(channel[f"terms{them}"])
        up = bool(channel["is_up"])
        return {
            "peer_id": self._other(channel),
            "peer_connected": up,
            "reestablished": up,
            "state": "CHANNELD_NORMAL",
            "short_channel_id": channel["scid"],
            "direction": us - 1,
            "private": not channel["announced"],
            "opener": "local" if us == 1 else "remote",
            "features": ["option_static_remotekey", "option_anchors"],
            "alias": {"local": channel[f"alias{us}"], "remote": channel[f"alias{them}"]},
            "updates": {"local": ours, "remote": theirs},
            "to_us_msat": channel[f"msat{us}"],
            "total_msat": channel["msat1"] + channel["msat2"],
            "spendable_msat": channel[f"msat{us}"],
            "receivable_msat": channel[f"msat{them}"],
            "htlcs": [],
        }

    async def listincoming(self, params: dict[str, Any]) -> dict[str, Any]:
        told = []
        for channel in (await self.listpeerchannels({}))["channels"]:
            remote = channel["updates"]["remote"]
            told.append(
                {
                    "id": channel["peer_id"],
                    "short_channel_id": channel["alias"]["remote"]
                    if channel["private"]
                    else channel["short_channel_id"],
                    "fee_base_msat": remote["fee_base_msat"],
                    "fee_proportional_millionths": remote["fee_proportional_millionths"],
                    "cltv_expiry_delta": remote["cltv_expiry_delta"],
                    "htlc_min_msat": remote["htlc_minimum_msat"],
                    "htlc_max_msat": remote["htlc_maximum_msat"],
                    "incoming_capacity_msat": channel["receivable_msat"],
                    "public": not channel["private"],
                    "peer_features": self._features(channel["peer_id"]),
                    "enabled": channel["peer_connected"],
                }
            )
        return {"incoming": told}

    async def listchannels(self, params: dict[str, Any]) -> dict[str, Any]:
        told = []
        for channel in self.network.rows("SELECT * FROM channels WHERE announced = 1"):
            for side, other in ((1, 2), (2, 1)):
                terms = json.loads(channel[f"terms{side}"])
                one = {
                    "source": channel[f"node{side}"],
                    "destination": channel[f"node{other}"],
                    "short_channel_id": channel["scid"],
                    "direction": side - 1,
                    "public": True,
                    "amount_msat": channel["msat1"] + channel["msat2"],
                    "active": bool(channel["is_up"]),
                    "base_fee_millisatoshi": terms["fee_base_msat"],
                    "fee_per_millionth": terms["fee_proportional_millionths"],
                    "delay": terms["cltv_expiry_delta"],
                    "features": "",
                }
                if all(params.get(key) in (None, one[key]) for key in ("source", "destination", "short_channel_id")):
                    told.append(one)
        return {"channels": told}

    async def listnodes(self, params: dict[str, Any]) -> dict[str, Any]:
        told = []
        for node in self.network.rows("SELECT * FROM nodes WHERE announced = 1"):
            if params.get("id") in (None, node["node_id"]):
                told.append(
                    {
                        "nodeid": node["node_id"],
                        "alias": node["alias"],
                        "color": node["node_id"][:6],
                        "last_timestamp": 1738000000,
                        "features": node["features"],
                        "addresses": self._node.addresses.get(node["node_id"], []),
                    }
                )
        return {"nodes": told}

    async def makesecret(self, params: dict[str, Any]) -> dict[str, Any]:
        told = bytes.fromhex(params["hex"]) if "hex" in params else str(params["string"]).encode()
        return {"secret": sha256(self._node.key.secret, told).hex()}

    async def connect(self, params: dict[str, Any]) -> dict[str, Any]:
        peer = str(params["id"]).partition("@")[0]
        if self.network.row("SELECT * FROM nodes WHERE node_id = ?", peer) is None:
            raise RpcError(401, "All addresses failed: 127.0.0.1:9735: Connection establishment: Connection refused. ")
        self._node.connected.add(peer)
        address = {"type": "ipv4", "address": "127.0.0.1", "port": 9735}
        return {"id": peer, "features": self._features(peer), "direction": "out", "address": address}

    async def plugin(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"command": params.get("subcommand", "list"), "plugins": self._node.plugins}

    # --- the datastore

    async def datastore(self, params: dict[str, Any]) -> dict[str, Any]:
        key, mode = _key(params), params.get("mode", "must-create")
        value = params["string"] if "string" in params else bytes.fromhex(params["hex"]).decode()
        with self.network.transaction():
            found = self.network.row("SELECT * FROM datastore WHERE owner = ? AND key = ?", self._node.id, key)
            if found is not None and mode == "must-create":
                raise RpcError(1202, "already exists")
            if found is None and mode.startswith("must-") and mode != "must-create":
                raise RpcError(1203, "does not exist")
            if "generation" in params:
                if mode not in ("must-replace", "must-append"):
                    raise RpcError(-32602, "generation only valid with must-replace or must-append")
                assert found is not None
                if found["generation"] != params["generation"]:
                    raise RpcError(1204, "generation is different")
            generation = 0 if found is None else found["generation"] + 1
            row = (self._node.id, key, value, generation)
            self.network.run("INSERT OR REPLACE INTO datastore VALUES (?, ?, ?, ?)", *row)
        return _stored(key, value, generation)

    async def listdatastore(self, params: dict[str, Any]) -> dict[str, Any]:
        rows = self.network.rows("SELECT * FROM datastore WHERE owner = ? ORDER BY key", self._node.id)
        wanted = json.loads(_key(params)) if "key" in params else []
        exact = [row for row in rows if json.loads(row["key"]) == wanted]
        if exact:
            return {"datastore": [_stored(row["key"], row["value"], row["generation"]) for row in exact]}
        told: dict[str, dict[str, Any]] = {}
        for row in rows:
            key = json.loads(row["key"])
            if key[: len(wanted)] == wanted:
                child = key[: len(wanted) + 1]
                is_leaf = len(key) == len(child)
                told[json.dumps(child)] = (
                    _stored(row["key"], row["value"], row["generation"]) if is_leaf else {"key": child}
                )
        return {"datastore": list(told.values())}

    async def deldatastore(self, params: dict[str, Any]) -> dict[str, Any]:
        key = _key(params)
        with self.network.transaction():
            found = self.network.row("SELECT * FROM datastore WHERE owner = ? AND key = ?", self._node.id, key)
            if found is None:
                raise RpcError(1200, "does not exist")
            if params.get("generation", found["generation"]) != found["generation"]:
                raise RpcError(1201, "generation is different")
            self.network.run("DELETE FROM datastore WHERE owner = ? AND key = ?", self._node.id, key)
        return _stored(key, found["value"], found["generation"])

    # --- looking

    def _channels(self) -> list[Any]:
        return self.network.rows("SELECT * FROM channels WHERE ? IN (node1, node2)", self._node.id)

    def _other(self, channel: Any) -> str:
        return str(channel["node2"] if channel["node1"] == self._node.id else channel["node1"])

    def _features(self, peer: str) -> str:
        found = self.network.row("SELECT features FROM nodes WHERE node_id = ?", peer)
        return str(found["features"]) if found is not None else ""


def _key(params: dict[str, Any]) -> str:
    key = params["key"]
    return json.dumps(key if isinstance(key, list) else [key])


def _stored(key: str, value: str, generation: int) -> dict[str, Any]:
    return {"key": json.loads(key), "generation": generation, "hex": value.encode().hex(), "string": value}
