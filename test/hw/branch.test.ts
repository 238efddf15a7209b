/** Addresses that name their owner: decoding returns what was encoded, in any format. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as branch from '../../src/hw/branch.js';
import {
  addressHigh,
  addressIsKernel,
  addressKind,
  addressTask,
  addressVcpu,
  addressVm,
  branchCycles,
} from '../../src/hw/branch.js';

interface Address {
  readonly kernel: boolean;
  readonly kind: number;
  readonly vm: number;
  readonly vcpu: number;
  readonly task: number;
}

const anyAddress: fc.Arbitrary<Address> = fc.record({
  kernel: fc.boolean(),
  kind: fc.nat(15),
  vm: fc.nat(7),
  vcpu: fc.nat(7),
  task: fc.nat(31),
});

const encode = ({ kernel, kind, vm, vcpu, task }: Address): number =>
  addressHigh(kernel, kind, vm, vcpu, task);

const decode = (edx: number): Address => ({
  kernel: addressIsKernel(edx),
  kind: addressKind(edx),
  vm: addressVm(edx),
  vcpu: addressVcpu(edx),
  task: addressTask(edx),
});

describe('BRANCH_*', () => {
  it('BRANCH_* number the kinds in the order of BRANCH_NAMES, far branches last', () => {
    const numbers = Object.entries(branch).filter(([name]) => /^BRANCH_(?!NAMES)/.test(name));
    expect(Object.fromEntries(numbers)).toEqual({
      BRANCH_JCC: 0,
      BRANCH_REL_CALL: 1,
      BRANCH_IND_CALL: 2,
      BRANCH_RET: 3,
      BRANCH_IND_JMP: 4,
      BRANCH_REL_JMP: 5,
      BRANCH_ZERO_CALL: 6,
      BRANCH_SYSCALL: 7,
      BRANCH_SYSRET: 8,
      BRANCH_IRQ: 9,
      BRANCH_IRET: 10,
      BRANCH_NONE: 15,
    });
    expect(branch.BRANCH_NAMES).toEqual(
      'jcc call ind-call ret ind-jmp jmp call+0 syscall sysret irq iret'.split(' '),
    );
    expect(branch.HOST_VM).toBe(7);
  });
});

describe('SELECT_BIT', () => {
  // SDM: Vol. 3B, "Filtering of Last Branch Records", table of the MSR_LBR_SELECT bits.
  it('SELECT_BIT names the bit of LBR_SELECT that suppresses the kind', () => {
    const bits = [2, 3, 4, 5, 6, 7, 3, 8, 8, 8, 8].map((n) => 2 ** n);
    expect(branch.SELECT_BIT).toEqual(bits);
  });
});

describe('addressHigh', () => {
  it('an address always gives back every field that it was made of', () => {
    fc.assert(
      fc.property(anyAddress, (address) => {
        expect(decode(encode(address))).toEqual(address);
      }),
    );
  });

  it('an address gives back every field even if bits 63:48 of FROM hold flags or cycles', () => {
    fc.assert(
      fc.property(anyAddress, fc.nat(0xffff), (address, noise) => {
        const raw = (encode(address) & 0xffff) | (noise << 16);
        expect(decode(raw)).toEqual(address);
      }),
    );
  });

  it('an address is always canonical: bits 63:47 are set in the kernel half alone', () => {
    fc.assert(
      fc.property(anyAddress, (address) => {
        const edx = encode(address);
        expect(edx >> 15).toBe(address.kernel ? -1 : 0);
        expect(edx | 0).toBe(edx);
      }),
    );
  });

  it('two owners never have one address', () => {
    const seen = new Set<number>();
    for (const kernel of [false, true]) {
      for (let i = 0; i < 2 ** 15; i++) {
        const [kind, vm, vcpu, task] = [i >> 11, (i >> 8) & 7, (i >> 5) & 7, i & 31];
        seen.add(addressHigh(kernel, kind, vm, vcpu, task));
      }
    }
    expect(seen.size).toBe(2 ** 16);
  });

  // The layout is documented in the file's header and appears in printed traces.
  it('an address has kind in bits 14..11, vm in 10..8, vcpu in 7..5 and task in 4..0', () => {
    expect(addressHigh(false, 1, 0, 0, 0)).toBe(2 ** 11);
    expect(addressHigh(false, 0, 1, 0, 0)).toBe(2 ** 8);
    expect(addressHigh(false, 0, 0, 1, 0)).toBe(2 ** 5);
    expect(addressHigh(false, 0, 0, 0, 1)).toBe(1);
    expect(addressHigh(true, 0, 0, 0, 0)).toBe(-(2 ** 15));
  });
});

describe('branchCycles', () => {
  it('branchCycles always fits 16 bits, is never 0 and says whose record it is', () => {
    fc.assert(
      fc.property(fc.nat(7), fc.nat(2 ** 31 - 1), (vm, seq) => {
        const cycles = branchCycles(vm, seq);
        expect(cycles).toBeGreaterThan(0);
        expect(cycles).toBeLessThanOrEqual(65535);
        expect(Math.floor(cycles / 8192)).toBe(vm);
        expect(cycles % 4096).toBe(seq % 4096);
        expect(Math.floor(cycles / 4096) % 2).toBe(1);
      }),
    );
  });

  it('branchCycles is always the value that its layout draws', () => {
    expect(branchCycles(0, 0)).toBe(4096);
    expect(branchCycles(7, 4095)).toBe(65535);
    expect(branchCycles(5, 4097)).toBe(5 * 8192 + 4096 + 1);
  });
});
