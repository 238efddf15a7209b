/** A guest writes a value that LBR_SELECT refuses, while the register is trapped. Who faults? */
import { describe, expect, it } from 'vitest';
import { merged } from '../../../src/host/policy/merged.js';
import { v4, v4Select } from '../../../src/host/policy/v4.js';
import { v6, v7 } from '../../../src/host/policy/v6.js';
import { v8, v8Posted } from '../../../src/host/policy/v8.js';
import { Rig, SELECT } from '../../rig/machine.js';

/** The host's work for the write. v4 creates no event, v6 and v7 after the write, others before. */
const WORK = [
  { policy: v4, work: ['v0 writes one', 'host fault'] },
  { policy: v4Select, work: ['v0 writes one', 'host fault'] },
  { policy: v6, work: ['v0 writes one', 'host fault', 'perf writes'] },
  { policy: v7, work: ['v0 writes one', 'host fault', 'perf writes'] },
  { policy: v8, work: ['perf writes', 'v0 writes one', 'host fault'] },
  { policy: v8Posted, work: ['perf writes', 'v0 writes one', 'host fault'] },
  { policy: merged, work: ['perf writes', 'v0 writes one', 'host fault'] },
];

describe('a trapped write that LBR_SELECT refuses', () => {
  it.each(WORK)(
    'a value that LBR_SELECT refuses makes the host fault under $policy.name, never the guest',
    ({ policy, work }) => {
      const rig = new Rig(policy);
      expect(rig.write(0, SELECT, 0, 1)).toBe(0);
      expect(rig.work()).toEqual(work);
    },
  );
});
