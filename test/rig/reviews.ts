/** Reviews with hand-made findings. */
import { ShapeCampaign } from '../../src/campaign/shape_campaign.js';
import { PORT } from '../../src/guest/perf/lbr_port.js';
import { PROPERTY } from '../../src/judge/properties.js';
import type { Counterexample } from '../../src/campaign/campaign.js';
import type { Change } from '../../src/campaign/compare.js';
import type { Review } from '../../src/questions/review/conclusion.js';
import { goldenCase } from './stories.js';

const { config, schedule } = goldenCase('001');
/** A schedule on which policy merged breaks no-leak/vm. */
export const FOUND: Counterexample = new ShapeCampaign(config).counterexample(
  schedule,
  PROPERTY['no-leak/vm'],
  false,
);

/** What is found under policy merged on a skylake. */
export function reviewOf(changes: readonly Change[], more: Partial<Review> = {}): Review {
  const side = (sha256: string, path: string): Review['before'] => ({
    info: { version: '6.1.9', sha256 },
    driver: PORT,
    path,
  });
  const comparison = { policy: 'merged', cpu: 'skylake', changes, crashes: [], vacuous: [] };
  const ran = { before: [], after: [] };
  return {
    cpus: ['skylake'],
    policies: ['merged'],
    seed: 3,
    runs: 20,
    before: side('b'.repeat(64), '/cache/before'),
    after: side('a'.repeat(64), '/cache/after'),
    patches: ['fix.patch'],
    each: null,
    reverse: false,
    leftOut: [],
    reached: null,
    reviews: [{ comparison, accesses: null, ran }],
    interrupted: false,
    elapsed_s: 1,
    since: null,
    ...more,
  } as Review;
}

/** It is lost. */
export const LOST: Change = {
  kind: 'lost',
  by: 'policy',
  policy: 'merged',
  cpu: 'skylake',
  property: 'no-leak/vm',
  elsewhere: false,
  onLinux61: false,
  counterexample: FOUND,
};
