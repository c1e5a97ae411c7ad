// TCP for LDK's PeerManager: what arrives is read into it, what it writes goes out, and either side may hang up.

import net from "node:net";
import { ldk } from "./load.mjs";
import { bytes, take } from "./values.mjs";

export class Net {
  #peers;
  #pump;
  #last = 0n;
  #servers = [];

  /** `pump` is called after everything that may have given LDK something to do. */
  constructor(peerManager, pump) {
    this.#peers = peerManager;
    this.#pump = pump;
  }

  /** Accept connections; answers the port. */
  listen(port) {
    return new Promise((resolve, reject) => {
      const server = net.createServer((socket) => {
        const descriptor = this.#descriptor(socket);
        const result = this.#peers.new_inbound_connection(descriptor, ldk.Option_SocketAddressZ.constructor_none());
        if (!result.is_ok()) socket.destroy();
      });
      server.once("error", reject);
      server.listen(port, "127.0.0.1", () => resolve(server.address().port));
      this.#servers.push(server);
    });
  }

  /** Dial; answers once the socket stands and the handshake has begun. */
  connect(nodeId, host, port) {
    return new Promise((resolve, reject) => {
      const socket = net.createConnection({ host, port });
      socket.once("error", reject);
      socket.once("connect", () => {
        const descriptor = this.#descriptor(socket);
        const none = ldk.Option_SocketAddressZ.constructor_none();
        const first = take(this.#peers.new_outbound_connection(bytes(nodeId), descriptor, none));
        socket.write(first);
        resolve(null);
      });
    });
  }

  #descriptor(socket) {
    const id = ++this.#last;
    const state = { over: false };
    socket.setNoDelay(true);
    const descriptor = ldk.SocketDescriptor.new_impl({
      send_data(data, resumeRead) {
        if (resumeRead) socket.resume();
        if (state.over) return 0;
        socket.write(Uint8Array.from(data)); // node buffers what the kernel does not take, so nothing is left over
        return data.length;
      },
      disconnect_socket() {
        state.over = true;
        socket.end();
      },
      eq: (other) => other.hash() === id,
      hash: () => id,
    });
    socket.on("data", (data) => {
      if (state.over) return;
      const result = this.#peers.read_event(descriptor, Uint8Array.from(data));
      if (!result.is_ok()) {
        state.over = true;
        socket.end();
      }
      this.#pump();
    });
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => {
      if (!state.over) this.#peers.socket_disconnected(descriptor);
      state.over = true;
      this.#pump();
    });
    return descriptor;
  }
}
