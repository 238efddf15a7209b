/** The VMX of pCPUs, as far as no kernel is needed. */
import { describe, expect, it } from 'vitest';
import { Observer } from '../../src/host/observer.js';
import { VmxCpus } from '../../src/machine/vmx_cpus.js';

const REGION = 0x1000;

describe('the VMCS that is current', () => {
  it('is none at first, on each pCPU until it loads one', () => {
    const vmx = new VmxCpus([], [], new Observer(), new Int32Array(VmxCpus.wordsFor(0, 2)));
    expect([vmx.isCurrent(0), vmx.isCurrent(1)]).toEqual([false, false]);
    vmx.vmptrld(1, REGION);
    expect([vmx.isCurrent(0), vmx.isCurrent(1)]).toEqual([false, true]);
    vmx.vmptrld(0, REGION);
    expect([vmx.isCurrent(0), vmx.isCurrent(1)]).toEqual([true, true]);
  });
});
