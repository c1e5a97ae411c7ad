// A chain that nobody mined: headers that follow each other, and funding transactions that spend nothing.

import { ldk } from "./load.mjs";

const GENESIS_HEIGHT = 0;

export class Chain {
  #confirms;
  #previous = Buffer.alloc(32);
  #time;

  /** `confirms`: who is told of blocks. */
  constructor(confirms, time) {
    this.#confirms = confirms;
    this.#time = time;
    this.height = GENESIS_HEIGHT;
  }

  /** Add blocks; `transactions` stand in the first one, `time` is that of the last. */
  grow(count, transactions = [], time = this.#time) {
    this.#time = time;
    for (let index = 0; index < count; index++) {
      this.height += 1;
      const header = this.#header();
      for (const one of this.#confirms) {
        if (index === 0 && transactions.length) {
          const placed = transactions.map((tx, at) => ldk.TwoTuple_usizeTransactionZ.constructor_new(at + 1, tx));
          one.transactions_confirmed(header, placed, this.height);
        }
        one.best_block_updated(header, this.height);
      }
    }
    return this.height;
  }

  #header() {
    const header = Buffer.alloc(80);
    header.writeUInt32LE(0x20000000, 0);
    this.#previous.copy(header, 4);
    header.writeUInt32LE(this.height, 36); // in the place of the merkle root: no two headers are alike
    header.writeUInt32LE(this.#time, 68);
    header.writeUInt32LE(0x207fffff, 72);
    this.#previous = Buffer.from(header.subarray(36, 68));
    return Uint8Array.from(header);
  }
}

/** A transaction with one output; its input is a coin that never was, with a witness, as LDK demands. */
export function fundingTransaction(script, satoshis, nonce) {
  const value = Buffer.alloc(8);
  value.writeBigUInt64LE(satoshis);
  const coin = Buffer.alloc(36, 0xee);
  coin.writeUInt32LE(nonce, 0);
  return Uint8Array.from(
    Buffer.concat([
      Buffer.from("02000000" + "0001" + "01", "hex"),
      coin,
      Buffer.from("00" + "feffffff" + "01", "hex"),
      value,
      Buffer.from([script.length]),
      script,
      Buffer.from("0101aa" + "00000000", "hex"), // one witness item
    ]),
  );
}
