/** printk() of an image: what its formats are, as far as perf uses them. */

interface Reading {
  readInt(address: number): number;
  text(address: number): string;
}

/** A level, KERN_SOH and a digit, which is no part of the line. */
const LEVEL = String.fromCodePoint(1);

const FORMAT = /%(?:-?0?\d*)(?<long>l{1,2}|L|z|h{0,2})(?<what>[sdiuxXpc])(?<more>[A-Za-z]*)/g;

/**
 * The line that a format makes.
 *
 * @param args - address of the arguments, each aligned to its size.
 * @param wide - whether pointers and longs have 8 bytes.
 */
export function printed(kernel: Reading, format: string, args: number, wide: boolean): string {
  let at = args;
  const next = (bytes: number): bigint => {
    at = Math.ceil(at / bytes) * bytes;
    const low = BigInt(kernel.readInt(at) >>> 0);
    const high = bytes === 8 ? BigInt(kernel.readInt(at + 4)) : 0n;
    at += bytes;
    return (high << 32n) | low;
  };
  const pointer = wide ? 8 : 4;
  const text = format.startsWith(LEVEL) ? format.slice(2) : format;
  const line = text.replaceAll(FORMAT, (...match) => {
    const { long, what, more } = match.at(-1) as Record<'long' | 'what' | 'more', string>;
    const isPointer = what === 's' || what === 'p';
    const bytes =
      isPointer || long === 'l' || long === 'z' ? pointer : long === 'll' || long === 'L' ? 8 : 4;
    const value = next(bytes);
    if (what === 's') return kernel.text(Number(BigInt.asUintN(32, value))) + more;
    if (what === 'c') return String.fromCodePoint(Number(value)) + more;
    if (what === 'p') return `0x${value.toString(16)}`;
    const signed = what === 'd' || what === 'i';
    const number = signed ? BigInt.asIntN(8 * bytes, value) : BigInt.asUintN(8 * bytes, value);
    return number.toString(what === 'x' || what === 'X' ? 16 : 10) + more;
  });
  return line.trimEnd();
}
