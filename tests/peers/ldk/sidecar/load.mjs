// Loads the WebAssembly build of LDK. Its bindings write to console.log, and stdout carries our protocol.

import { readFileSync } from "node:fs";

console.log = console.error;

const said = [];
const log = console.log;
console.log = (...words) => {
  said.push(words.join(" "));
  log(...words);
};

export const ldk = await import("lightningdevkit");
const wasm = new URL("./liblightningjs.wasm", import.meta.resolve("lightningdevkit"));
await ldk.initializeWasmFromBinary(readFileSync(wasm));
console.log = log;

/** What LDK said of its version as it was loaded. */
export const banner = said.join(" ");
