// Windows for tests.

import { field, Window, WindowType } from "../src/index.js";

export const second = 1_000_000_000n;
const epoch = 1_700_000_000n * second;

/** A time, in seconds after some day. */
export function instant(seconds: number): bigint {
  return epoch + BigInt(Math.round(seconds * 1e9));
}

/** A type with a filter, and with a value that is kept nowhere. */
export const secondsType = new WindowType("Second", "1.0.0", {
  fields: [field("asset", undefined, { filter: true }), field("secret", undefined, { noStore: true })],
});

/** A window from one second to another. */
export function windowOn(
  on: WindowType,
  from: number,
  to: number,
  asset: unknown = "a",
  secret: unknown = null,
): Window {
  const metadata = on.fields.length > 0 ? { asset, secret } : {};
  return new Window(on, instant(from), instant(to), { origin: "test", metadata });
}
