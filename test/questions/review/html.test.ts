/** The report of a review as a page, from hand-made findings. */
import { describe, expect, it } from 'vitest';
import type { Change } from '../../../src/campaign/compare.js';
import { reviewHtml } from '../../../src/questions/review/html.js';
import { FOUND, LOST, reviewOf as review } from '../../rig/reviews.js';

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

  it('has what the text tells besides: crashes, accesses, costs, lines and each patch', () => {
    const [one] = review([]).reviews;
    const crash = { ...FOUND, side: 'after', error: 'RangeError: <here>' } as const;
    const vacuous = ['balanced'] as const;
    const comparison = { ...one.comparison, crashes: [crash], vacuous };
    const notReached = [{ side: 'after', path: 'lbr.c', line: 3, function: 'f' }] as const;
    const found = review([LOST]);
    const step = { first: 1, last: 1, title: 'a patch', found, why: null };
    const each = { patches: 1, steps: [step], blamed: [], interrupted: false };
    const page = reviewHtml(
      review([], {
        reviews: [{ ...one, comparison }],
        reached: { lines: 1, notReached },
        each,
      }),
    );
    const notes = [...page.matchAll(/<pre>([^<]*)<\/pre>/g)].map(([, text]) => text.split('\n'));
    expect(notes.map(([first]) => first)).toEqual([
      'LOST  balanced says nothing any more: its situation does not arise (merged)',
      'the kernel after the change crashes: RangeError: &lt;here>',
      'MSR accesses were not compared.',
      'Costs were not compared.',
      'Changed lines with code: 1, of which 0 ran.',
      'Patch by patch:',
    ]);
    expect(notes[5][1]).toBe('  1 of 1  a patch');
    expect(notes.flat().filter((line) => line.includes('vlbr replay v1.'))).toHaveLength(2);
  });
});
