/** A PERF_RECORD_SAMPLE as the kernel puts it into the ring buffer. */
import { describe, expect, it } from 'vitest';
import { sampleOf } from '../../../src/guest/image/sample.js';

const PERF_RECORD_THROTTLE = 5;
const PERF_RECORD_SAMPLE = 9;

/** A record of a branch: FROM, TO and the word of flags. */
type Branch = readonly [from: bigint, to: bigint, flags: bigint];

/** Bytes of a record with IP and BRANCH_STACK; hwIndex is there only if it was asked for. */
function record(type: number, branches: readonly Branch[], hwIndex: bigint | null): Uint8Array {
  const words = [
    0x1000n,
    BigInt(branches.length),
    ...(hwIndex === null ? [] : [hwIndex]),
    ...branches.flat(),
  ];
  const bytes = new DataView(new ArrayBuffer(8 + 8 * words.length));
  bytes.setUint32(0, type, true);
  bytes.setUint16(6, bytes.byteLength, true);
  words.forEach((word, i) => bytes.setBigUint64(8 + 8 * i, word, true));
  return new Uint8Array(bytes.buffer);
}

const TWO: readonly Branch[] = [
  [0x1111_2222_3333_4444n, 0xaaaa_bbbb_cccc_ddddn, 0x12_3452n],
  [0x5555_6666_7777_8888n, 0x0000_0001_ffff_fffen, 0n],
];

const WORDS = [
  [0x33334444, 0x11112222, 0xccccdddd | 0, 0xaaaabbbb | 0, 0x123452],
  [0x77778888, 0x55556666, -2, 1, 0],
].flat();

describe('sampleOf', () => {
  it('a sample has its records in order, each as five words', () => {
    const sample = sampleOf(record(PERF_RECORD_SAMPLE, TWO, null));
    expect(sample?.nr).toBe(2);
    expect([...(sample?.entries ?? [])]).toEqual(WORDS);
  });

  it('a sample with HW_INDEX has the same records', () => {
    for (const index of [0n, 31n, (1n << 64n) - 1n]) {
      const sample = sampleOf(record(PERF_RECORD_SAMPLE, TWO, index));
      expect([sample?.nr, ...(sample?.entries ?? [])]).toEqual([2, ...WORDS]);
    }
  });

  it('a sample without records is one', () => {
    for (const index of [null, 7n]) {
      const sample = sampleOf(record(PERF_RECORD_SAMPLE, [], index));
      expect([sample?.nr, sample?.entries.length]).toEqual([0, 0]);
    }
  });

  it('flags keep their 24 bits, and reserved bits are dropped', () => {
    const all: Branch = [1n, 2n, (1n << 64n) - 1n];
    expect(sampleOf(record(PERF_RECORD_SAMPLE, [all], null))?.entries.at(-1)).toBe(0xff_ffff);
  });

  it('a record of another kind is no sample', () => {
    expect(sampleOf(record(PERF_RECORD_THROTTLE, TWO, null))).toBeNull();
  });

  it('a sample may lie anywhere in a buffer', () => {
    const bytes = record(PERF_RECORD_SAMPLE, TWO, null);
    const larger = new Uint8Array(bytes.length + 24);
    larger.set(bytes, 16);
    const sample = sampleOf(larger.subarray(16, 16 + bytes.length));
    expect([...(sample?.entries ?? [])]).toEqual(WORDS);
  });
});
