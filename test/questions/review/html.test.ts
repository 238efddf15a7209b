/** The report of a review as a page, from hand-made findings. */
import { describe, expect, it } from 'vitest';
import { ShapeCampaign } from '../../../src/campaign/shape_campaign.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { PROPERTY } from '../../../src/judge/properties.js';
import type { Change } from '../../../src/campaign/compare.js';
import type { Review } from '../../../src/questions/review/conclusion.js';
import { reviewHtml } from '../../../src/questions/review/html.js';
import { goldenCase } from '../../rig/stories.js';

const { config, schedule } = goldenCase('001');
const found = new ShapeCampaign(config).counterexample(schedule, PROPERTY['no-leak/vm'], false);

function review(changes: readonly Change[], more: Partial<Review> = {}): Review {
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
    ...more,
  } as Review;
}

const LOST: Change = {
  kind: 'lost',
  by: 'policy',
  policy: 'merged',
  cpu: 'skylake',
  property: 'no-leak/vm',
  elsewhere: false,
  onLinux61: false,
  counterexample: found,
};

describe('the page of vlbr review', () => {
  it('leads to the schedule of what is lost, on the side after the change', () => {
    const page = reviewHtml(review([LOST]));
    expect(page).toContain('<h1>vlbr review: lost: no-leak/vm; gained: nothing</h1>');
    expect(page).toContain('<p>skylake; 20 runs on each side; seed 3</p>');
    expect(page).toContain('<p>Patches, applied: fix.patch</p>');
    expect(page).toMatch(
      /<p>Before: the C file of Linux 6.1.9 \(lbr.c, sha256 bbbbbbbbbbbb\). After/,
    );
    expect(page).toContain('<a href="#merged-no-leak-vm">lost: merged breaks no-leak/vm</a>');
    expect(page).toContain('<p>On this schedule it held before the change.</p>');
    expect(page).toContain('<p>Found on skylake under merged.</p>');
    expect(page).toContain('sha256 aaaaaaaaaaaa) · 2 VMs');
    expect(page).toMatch(/vlbr replay v1\.[\w-]+ --kernel-src \/cache\/after<\/code>/);
    expect(page).not.toMatch(/Interrupted|Other schedules|as well/);
  });

  it('shows what is gained on the side before, with what weakens it', () => {
    const gained: Change = {
      ...LOST,
      kind: 'gained',
      by: 'kernel',
      onLinux61: true,
      elsewhere: true,
    };
    const page = reviewHtml(review([gained], { reverse: true, interrupted: true, patches: ['x'] }));
    expect(page).toContain('gained: merged breaks no-leak/vm</h2>');
    expect(page).toContain('<p>On this schedule it holds now.</p>');
    expect(page).toContain('<p>Found on skylake.</p>');
    expect(page).toContain('<p>Other schedules fail on both sides.</p>');
    expect(page).toContain('<p>Linux 6.1 fails in it as well.</p>');
    expect(page).toContain('--kernel-src /cache/before</code>');
    expect(page).toContain('<p>Patches, taken back: x</p>');
    expect(page).toContain('<p>Interrupted: this is what was found until then.</p>');
    expect(reviewHtml(review([], { patches: [] }))).not.toContain('Patches');
  });
});
