/** A fix of the host's side of lbr.c is no loss, whatever it uncovers in its guests. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_SHAPES } from '../../../src/campaign/campaign.js';
import { coloursFor } from '../../../src/console/colours.js';
import { PROPERTY_NAMES } from '../../../src/judge/properties.js';
import {
  findingsOf,
  losesAnything,
  type PolicyReview,
  reviewPolicy,
} from '../../../src/questions/review/comparison.js';
import type { ReviewSide } from '../../../src/questions/review/sides.js';
import { reviewText } from '../../../src/questions/review/text.js';
import { buildKernel } from '../../../src/tree/build.js';
import { kernelDriver } from '../../../src/tree/driver.js';
import { kernelSource } from '../../../src/tree/source.js';
import { cpuModel } from '../../rig/cpu.js';
import { installedSource } from '../../rig/installed_kernel.js';
import { policyOf } from '../../rig/machine.js';

function sideOf(text: string): ReviewSide {
  const { info } = kernelSource(text);
  return { info, driver: kernelDriver(buildKernel(kernelSource(text))), path: 'lbr.c' };
}

function reviewed(before: ReviewSide, after: ReviewSide): PolicyReview {
  const common = { kernel: '6.1', shapes: DEFAULT_SHAPES, runs: 500, steps: 60, seed: 1 } as const;
  const what = { model: cpuModel('haswell'), policy: policyOf('merged') };
  const drivers = { before: before.driver, driver: after.driver };
  return reviewPolicy({ ...common, ...what, ...drivers, properties: PROPERTY_NAMES });
}

function textOf(before: ReviewSide, after: ReviewSide, review: PolicyReview): string[] {
  const asked = { cpus: ['haswell'], seed: 1, runs: 500, patches: ['x.patch'], reverse: false };
  const rest = {
    policies: ['always'],
    properties: PROPERTY_NAMES,
    leftOut: [],
    reached: null,
    reviews: [review],
    each: null,
    interrupted: false,
    elapsed_s: 1,
    since: null,
  };
  return reviewText({ ...asked, ...rest, before, after }, coloursFor(false));
}

describe.skipIf(installedSource === null)('a fix of what only the host does', () => {
  const fixed = installedSource?.text ?? '';
  const broken = fixed.replaceAll(' && !vlbr_exclude_host()', '');

  it('loses nothing that its guests broke all along, unseen behind the fault', () => {
    expect(broken).not.toBe(fixed);
    const [before, after] = [sideOf(broken), sideOf(fixed)];
    const review = reviewed(before, after);
    expect(findingsOf([review]).filter(({ kind }) => kind === 'lost')).toEqual([]);
    expect(losesAnything([review])).toBe(false);
    const text = textOf(before, after, review);
    const end = text.slice(text.findLastIndex((line) => line.startsWith('lost: '))).join(' ');
    expect(end).toMatch(/^lost: nothing; gained: nothing; on fewer schedules than before: /);
    // What the last line names has a section of its own, and no section says more.
    const sections = text.flatMap((line) => /^(.*): (\S+), broken by/.exec(line)?.slice(1) ?? []);
    expect(sections).toContain('no-loss/callstack');
    for (const name of sections) {
      if (name === 'fails on fewer schedules') continue;
      expect(end.replaceAll(/\s+/g, ' ')).toContain(` ${name}`);
    }
    expect(sections).not.toContain('gained');
    expect(text.join('\n')).not.toContain('held before');
  });

  it('is found as a loss when it is taken back', () => {
    const review = reviewed(sideOf(fixed), sideOf(broken));
    const lost = findingsOf([review]).filter(({ kind }) => kind === 'lost');
    expect(lost.map(({ property }) => property)).toContain('host-intact');
    expect(losesAnything([review])).toBe(true);
  });
});
