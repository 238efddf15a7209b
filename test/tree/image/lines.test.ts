/** An image that counts: which lines of the tree have run, and how often. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { sumOfFiles } from '../../../src/tree/image/lines.js';
import { CALLSTACK_USER } from '../../../src/guest/perf/perf_event.js';
import { hasGcov } from '../../../src/tree/gcov/gcov.js';
import type { LineCount } from '../../../src/tree/gcov/gcov.js';
import { PERF_FILES } from '../../../src/tree/image/sources.js';
import { cpuModel } from '../../rig/cpu.js';
import { countingImage, ImageGuest, imageOf, imageVersions } from '../../rig/images.js';

const LBR = 'arch/x86/events/intel/lbr.c';

function canRead(): boolean {
  if (!hasGcov()) console.warn('\nSKIPPED: which lines of an image run (apt-get install llvm)\n');
  return hasGcov();
}

/** How often a function of lbr.c was called: the count of its first line. */
function calls(lines: readonly LineCount[] | undefined, name: string): number | undefined {
  return lines?.find((line) => line.function === name)?.count;
}

describe('the lines of several files', () => {
  const line = (n: number, count: number, branchesTaken = 0): LineCount => {
    return { line: n, text: '', count, branches: 2, branchesTaken, function: 'f' };
  };

  it('are added up by path and number, and stand in order', () => {
    const sum = sumOfFiles([
      new Map([
        ['a.c', [line(1, 5)]],
        ['x/h.h', [line(9, 1, 2), line(3, 0)]],
      ]),
      new Map([['x/../x/h.h', [line(3, 4, 1), line(9, 2, 1), line(4, 0)]]]),
    ]);
    expect([...sum]).toEqual([
      ['a.c', [line(1, 5)]],
      ['x/h.h', [line(3, 4, 1), line(4, 0), line(9, 3, 2)]],
    ]);
  });
});

describe.skipIf(!canRead())('an image that counts', () => {
  describe.each(imageVersions('6.1'))('of Linux %s', (version) => {
    let counting: Awaited<ReturnType<typeof countingImage>>;

    beforeAll(async () => {
      counting = await countingImage(version, ...PERF_FILES);
    }, 60_000);

    it('counts each call, over all instances, whatever they go back to', async () => {
      const { image, lines } = counting;
      const before = calls((await lines()).get(LBR), 'intel_pmu_lbr_add') ?? 0;
      const guests = [0, 1].map(() => new ImageGuest(image, cpuModel('skylake'), 1));
      for (const guest of guests) {
        const task = guest.task();
        guest.switchTo(0, task);
        const snapshot = guest.kernel.snapshot();
        for (let i = 0; i < 3; i++) {
          guest.open(0, guest.pid(task), CALLSTACK_USER, 0);
          expect(guest.lbrUsers(0)).toBe(1);
          guest.kernel.restore(snapshot);
        }
        expect(guest.lbrUsers(0)).toBe(0);
      }
      const empty = mkdtempSync(join(tmpdir(), 'vlbr-lines-'));
      vi.stubEnv('TMPDIR', empty);
      const now = await lines();
      vi.unstubAllEnvs();
      expect(readdirSync(empty)).toEqual([]);
      rmSync(empty, { recursive: true });
      expect(calls(now.get(LBR), 'intel_pmu_lbr_add')).toBe(before + 2 * 3);
      expect(calls(now.get(LBR), 'intel_pmu_lbr_del')).toBe(0);
      expect(calls(now.get(LBR), 'intel_pmu_arch_lbr_reset')).toBe(0);
      // Headers have their lines, too, and those of ours are none of the tree's.
      expect(now.get('arch/x86/events/perf_event.h')?.some(({ count }) => count > 0)).toBe(true);
      expect(now.get('kernel/events/core.c')?.some(({ count }) => count > 0)).toBe(true);
      expect([...now.keys()].filter((path) => path.startsWith('/') || path.includes('..'))).toEqual(
        [],
      );
    });

    it('does what the image does that counts nothing', async () => {
      const accesses = [counting.image, await imageOf(version)].map((image) => {
        const guest = new ImageGuest(image, cpuModel('skylake'), 1);
        const task = guest.task();
        guest.switchTo(0, task);
        guest.pmi(0, guest.open(0, guest.pid(task), CALLSTACK_USER, 0));
        guest.switchTo(0, guest.idle[0]);
        return { accesses: guest.msrs[0].take(), samples: guest.samples };
      });
      expect(accesses[0]).toEqual(accesses[1]);
      expect(accesses[0].accesses.length).toBeGreaterThan(20);
      expect((await imageOf(version)).counted).toBeUndefined();
    });
  });
});
