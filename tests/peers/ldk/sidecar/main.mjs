// A headless LDK node that is spoken to in lines of JSON.
//
//   in   {"id": 7, "command": "listen", "port": 0}
//   out  {"id": 7, "result": 40123}   or   {"id": 7, "error": "..."}
//   out  {"event": "payment_claimed", "payment_hash": "...", ...}
//
// The first line must be the command "start". The end of stdin ends the process.

import { createInterface } from "node:readline";
import { banner, ldk } from "./load.mjs";
import { commandsOf } from "./commands.mjs";
import { Node } from "./node.mjs";
import { bytes, hex } from "./values.mjs";

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");
let commands = { start };

function start({ seed, time, channels }) {
  const tell = (event, data) => say({ event, ...data });
  const node = new Node({ seed: bytes(seed), time, channels }, tell, (text) => console.error(text));
  commands = commandsOf(node);
  const memory_mb = Math.round(process.memoryUsage().rss / 2 ** 20);
  return { node_id: hex(node.id), banner, node: process.version, memory_mb };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...given } = JSON.parse(line);
  try {
    if (!(command in commands)) throw new Error(`there is no command ${command}`);
    say({ id, result: (await commands[command](given)) ?? null });
  } catch (error) {
    say({ id, error: `${error.message ?? error}` });
    if (error instanceof WebAssembly.RuntimeError) throw error; // LDK panicked: this process is of no use any more
  }
}
process.exit(0);
