/** A tree with 32-bit longs, beside the product: faults of width in the shim show there. */
import { describe, expect, it } from 'vitest';
import { bootOnEachCpu } from '../../../src/tree/image/image.js';
import { imageOf, imageVersions } from '../../rig/images.js';

describe.each(imageVersions('6.1'))('Linux %s with 32-bit longs', (version) => {
  it('boots on each CPU as with 64-bit longs: the same depth, and no warning', async () => {
    const found = async (bits: 32 | 64): Promise<object[]> =>
      bootOnEachCpu(await imageOf(version, bits)).map(({ cpu, lbr_nr, warnings }) => ({
        cpu,
        lbr_nr,
        warnings,
      }));
    const wide = await found(64);
    expect(wide.length).toBeGreaterThan(5);
    expect(await found(32)).toEqual(wide);
  }, 300_000);
});
