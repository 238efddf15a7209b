/** The report of an exploration as a page, from hand-made results. */
import { describe, expect, it } from 'vitest';
import { ShapeCampaign } from '../../../src/campaign/shape_campaign.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { PROPERTY } from '../../../src/judge/properties.js';
import { exploreHtml } from '../../../src/questions/explore/html.js';
import { DEFAULT_GROUPS } from '../../../src/states/alphabet.js';
import type { ExploreResult } from '../../../src/states/explore.js';
import { goldenCase } from '../../rig/stories.js';

const { config, schedule } = goldenCase('001');
const found = new ShapeCampaign(config).counterexample(schedule, PROPERTY['no-leak/vm'], false);

function result(verdict: ExploreResult['verdict'], known: boolean): ExploreResult {
  const counterexample = verdict === 'fails' ? found : null;
  return { property: 'no-leak/vm', verdict, known, reason: 'as it says', counterexample };
}

function page(complete: boolean, interrupted: boolean, ...results: ExploreResult[]): string {
  const begun = results.map((_, i) => `policy${i}`);
  return exploreHtml({
    policies: interrupted ? [...begun, 'never-begun'] : begun,
    model: config.model,
    shape: config.shape,
    kernel: '6.1',
    driver: PORT,
    source: null,
    driverWords: [],
    interrupted,
    bounds: { groups: DEFAULT_GROUPS, events: 1, calls: 4, suspended: 1 },
    maxLength: 8,
    results: results.map((one, i) => ({
      explored: {
        policy: `policy${i}`,
        complete,
        results: [one],
        ...(i === 0
          ? {
              findings: [null, 'it is so'].map((known) => ({
                ...one,
                known,
                counterexample: found,
              })),
            }
          : {}),
      },
    })),
  });
}

describe('the page of vlbr explore', () => {
  it('has the bounds, a word for each verdict, and the shortest schedule of each failure', () => {
    const all = page(
      true,
      false,
      result('fails', true),
      result('fails', false),
      result('holds', true),
      result('unknown', true),
      result('not applicable', true),
    );
    expect(all).toContain('<h1>vlbr explore: 2 VMs x 1 vCPU x 2 tasks on 1 pCPU, skylake with an ');
    expect(all).toMatch(/<p>Every schedule within these bounds: .*8 actions/);
    const cells = [...all.matchAll(/<td role="cell" class="(\w+)"[^>]*>(.*?)<\/td>/g)];
    expect(cells.map(([, kind, text]) => `${kind} ${text.replaceAll(/<[^>]*>/g, '')}`)).toEqual([
      'no FAILS 9',
      'no FAILS 9unexpected',
      'ok holds',
      'na unknown',
      'na n/a',
    ]);
    expect(all).toContain('<p>Known: as it says</p>');
    expect(all).toContain('<p>This is not expected.</p>');
    expect(all).toContain('<p>It is not known of this kernel.</p>');
    expect(all).toContain('<p>Known: it is so</p>');
    expect(all.match(/<article /g)).toHaveLength(4);
    expect(all).not.toMatch(/Truncated|Interrupted/);
  });

  it('says what was not looked at', () => {
    const cut = page(false, true, result('holds', true), result('unknown', true));
    expect(cut).toContain('<p>Truncated, so not all were looked at: policy0, policy1.</p>');
    expect(cut).toContain('<p>Interrupted: this is what was known until then.</p>');
    const rows = [
      ...cut.matchAll(/>([\w-]+)<\/th><td role="cell" class="(\w+)"[^>]*>([^<]*)<\/td>/g),
    ];
    expect(rows.map((row) => row.slice(1).join(' '))).toEqual([
      'policy0 ok holds',
      'policy1 na unknown',
      'never-begun na not judged',
    ]);
    expect(page(true, true)).toContain('Interrupted');
  });
});
