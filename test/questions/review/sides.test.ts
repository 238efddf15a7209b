/** A review names the side of everything it reports: whose file, driver and path. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_SHAPES } from '../../../src/campaign/campaign.js';
import { coloursFor } from '../../../src/console/colours.js';
import type { DriverKind } from '../../../src/guest/perf/lbr_driver.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { PROPERTY_NAMES } from '../../../src/judge/properties.js';
import { reviewPolicy } from '../../../src/questions/review/comparison.js';
import { reviewJson } from '../../../src/questions/review/json.js';
import type { ReviewSide } from '../../../src/questions/review/sides.js';
import type { Review } from '../../../src/questions/review/conclusion.js';
import { reviewText } from '../../../src/questions/review/text.js';
import { CRASHING, NO_RESTORE } from '../../rig/broken_port.js';
import { cpuModel } from '../../rig/cpu.js';
import { policyOf } from '../../rig/machine.js';

function sideOf(driver: DriverKind, name: string): ReviewSide {
  const info = { version: `6.1-${name}`, sha256: name };
  return { info, driver, path: `/cache/${name}.wasm` };
}

function reviewOf(before: DriverKind, after: DriverKind): Review {
  const common = { kernel: '6.1', shapes: DEFAULT_SHAPES, runs: 60, steps: 60, seed: 1 } as const;
  const what = { model: cpuModel('haswell/4'), policy: policyOf('always'), before, driver: after };
  const reviews = [reviewPolicy({ ...common, ...what, properties: PROPERTY_NAMES })];
  const sides = { before: sideOf(before, 'old'), after: sideOf(after, 'new') };
  const rest = {
    cpus: ['haswell/4'],
    policies: ['always'],
    properties: PROPERTY_NAMES,
    patches: [],
    reverse: false,
    leftOut: [],
    reached: null,
  };
  return {
    ...rest,
    ...sides,
    reviews,
    seed: 1,
    runs: 60,
    each: null,
    interrupted: false,
    elapsed_s: 1,
    since: null,
  };
}

interface Finding {
  readonly property: string;
  readonly counterexample: { readonly text: string; readonly timeline: readonly string[] };
}

interface Json {
  readonly before: object;
  readonly after: object;
  readonly lost: readonly Finding[];
  readonly gained: readonly Finding[];
}

const json = (review: Review): Json => JSON.parse(JSON.stringify(reviewJson(review))) as Json;

describe('the two sides of a review', () => {
  it.each([
    ['lost', PORT, NO_RESTORE, 'new'],
    ['gained', NO_RESTORE, PORT, 'old'],
  ] as const)('what is %s is shown on the side on which it fails', (kind, before, after, name) => {
    const review = reviewOf(before, after);
    const found = json(review)[kind];
    expect(found.map(({ property }) => property)).toContain('callstack-true');
    for (const { property, counterexample } of found) {
      expect(counterexample.text).not.toBe('');
      expect(counterexample.timeline.join('\n')).toContain(`breaks ${property}`);
    }
    const text = reviewText(review, coloursFor(false)).join('\n');
    const [, told] = text.split(`\n${kind}: callstack-true, broken by`);
    expect(told).toMatch(/=> breaks callstack-true/);
    expect(/--kernel-src (\S+)/.exec(told)?.[1]).toBe(`/cache/${name}.wasm`);
  });

  it('a review names the file of each side', () => {
    const review = { ...reviewOf(PORT, PORT), patches: ['x.patch'] };
    const { before, after } = json(review);
    expect([before, after]).toEqual([
      { version: '6.1-old', sha256: 'old', kernelSrc: '/cache/old.wasm' },
      { version: '6.1-new', sha256: 'new', kernelSrc: '/cache/new.wasm' },
    ]);
    const [, tree, patched] = reviewText(review, coloursFor(false));
    expect([tree, patched]).toEqual([
      'tree: the C file of Linux 6.1-old (lbr.c, sha256 old)',
      'with: x.patch (sha256 new)',
    ]);
  });

  it.each([
    ['before', CRASHING, PORT, 'old'],
    ['after', PORT, CRASHING, 'new'],
  ] as const)('a crash is replayed with the file of its side: %s', (side, before, after, name) => {
    const text = reviewText(reviewOf(before, after), coloursFor(false)).join('\n');
    expect(text).toContain(`the kernel ${side} the change crashes: RangeError: unreachable`);
    expect(/--kernel-src (\S+)/.exec(text)?.[1]).toBe(`/cache/${name}.wasm`);
  });
});
