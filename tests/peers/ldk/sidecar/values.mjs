// Between LDK's values and JSON: bytes are hex, u64 are numbers, options are null or the value, results raise.

import { ldk } from "./load.mjs";

export const hex = (bytes) => Buffer.from(bytes).toString("hex");

export const bytes = (text) => Uint8Array.from(Buffer.from(text, "hex"));

/** A BigInt as a JSON number; every amount there is fits. */
export function number(value) {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Error(`${value} does not fit a JSON number`);
  return Number(value);
}

/** What an Option holds, or null. */
export const some = (option) => (option !== null && "some" in option ? option.some : null);

/** An Option_u64Z of a JSON number or null. */
export const u64 = (value) =>
  value === null || value === undefined
    ? ldk.Option_u64Z.constructor_none()
    : ldk.Option_u64Z.constructor_some(BigInt(value));

/** The value of a Result. An error is raised with its name: that of its class and, for an enum, of its number. */
export function take(result, names = null) {
  if (result.is_ok()) return result.res;
  throw new Refused(errorName(result.err, names));
}

/** LDK said no; nothing is wrong with the sidecar. */
export class Refused extends Error {}

function errorName(error, names) {
  if (typeof error === "number") return names === null ? `error ${error}` : names[error];
  const name = error?.constructor?.name ?? "error";
  return typeof error?.err === "string" ? `${name}: ${error.err}` : name.replace(/^LDK/, "");
}
