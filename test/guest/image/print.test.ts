/** printk() of an image: lines as a kernel log has them. */
import { describe, expect, it } from 'vitest';
import { printed } from '../../../src/guest/image/print.js';

/** Memory with arguments from address 8 on, and one text at address 100. */
class Rig {
  private readonly bytes = new DataView(new ArrayBuffer(128));
  private at = 8;

  add(value: bigint, size: 4 | 8): this {
    this.at = Math.ceil(this.at / size) * size;
    if (size === 8) this.bytes.setBigUint64(this.at, BigInt.asUintN(64, value), true);
    else this.bytes.setUint32(this.at, Number(BigInt.asUintN(32, value)), true);
    this.at += size;
    return this;
  }

  readInt(address: number): number {
    return this.bytes.getInt32(address, true);
  }

  text(address: number): string {
    return address === 100 ? 'Skylake events' : '?';
  }
}

describe('printed', () => {
  it('a line has its level and its end taken off', () => {
    expect(printed(new Rig(), '\u00016Intel PMU driver.\n', 8, true)).toBe('Intel PMU driver.');
  });

  it('an argument is found where its size puts it, whatever came before', () => {
    const rig = new Rig()
      .add(-5n, 4)
      .add(1n << 40n, 8)
      .add(7n, 4)
      .add(255n, 8);
    expect(printed(rig, '%d %llu %u %lx', 8, true)).toBe('-5 1099511627776 7 ff');
  });

  it('longs and pointers have four bytes in an image of 32 bits', () => {
    const rig = new Rig().add(-1n, 4).add(100n, 4).add(0x10n, 4);
    expect(printed(rig, '%ld %s, %p', 8, false)).toBe('-1 Skylake events, 0x10');
  });

  it('a width is no part of the line, and text behind a number stays', () => {
    const rig = new Rig().add(4n, 4).add(0xffffn, 8);
    expect(printed(rig, '%d-deep, %016Lx mask', 8, true)).toBe('4-deep, ffff mask');
  });
});
