/** The report of a campaign as a page, from a small campaign. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_SHAPES, runCampaign } from '../../../src/campaign/campaign.js';
import { listFor } from '../../../src/campaign/kernel_lists.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import type { PropertyName } from '../../../src/judge/properties.js';
import { verifyHtml } from '../../../src/tell/verdicts/html.js';
import type { Campaign } from '../../../src/tell/verdicts/text.js';
import { cpuModel } from '../../rig/cpu.js';
import { policyOf } from '../../rig/machine.js';

const model = cpuModel('skylake');
const [shape] = DEFAULT_SHAPES;
const properties: readonly PropertyName[] = ['no-leak/vm', 'no-needless-switch', 'balanced'];
const all = runCampaign({
  model,
  kernel: '6.1',
  shapes: [shape],
  policies: [policyOf('never'), policyOf('always')],
  properties,
  runs: 60,
  steps: 60,
  seed: 1,
  schedules: [],
});
/** With one cause for each failure. */
const report = { ...all, results: all.results.map((one) => ({ ...one, otherCauses: [] })) };

function campaign(more: Partial<Campaign['report']> = {}): Campaign {
  const byKernel = { version: '6.1', list: listFor('6.1'), own: true, unknown: [], missing: [] };
  return {
    model,
    kernel: '6.1',
    driver: PORT,
    source: null,
    driverWords: ['--driver', 'port'],
    seed: 1,
    policies: ['never', 'always'],
    properties,
    shapes: [shape],
    without: [],
    recordings: [],
    runsAsked: 60,
    elapsed_s: 1,
    report: { ...report, ...more },
    byKernel,
    since: null,
  };
}

describe('the page of vlbr verify', () => {
  const page = verifyHtml(campaign());

  it('has a row for each policy, a column for each property, and a word in each cell', () => {
    expect(page).toContain('<h1>vlbr verify: skylake (32 records), Linux 6.1 guest, seed 1</h1>');
    expect(page).toMatch(/<p>120 runs, [\d,]+ actions: 6 verdicts, \d unexpected<\/p>/);
    const heads = [...page.matchAll(/<th role="(\w+)" scope="\w+">(.*?)<\/th>/g)];
    const words = heads.map(([, role, text]) => `${role} ${text.replaceAll(/<[^>]*>/g, '')}`);
    expect(words).toEqual([
      'columnheader policy',
      ...properties.map((property) => `columnheader ${property}`),
      'rowheader never',
      'rowheader always',
    ]);
    const cells = [...page.matchAll(/<td role="cell" class="(\w+)" data-p="([^"]*)"/g)];
    expect(cells.map(([, kind, property]) => `${kind} ${property}`)).toEqual([
      'no no-leak/vm',
      'ok no-needless-switch',
      'ok balanced',
      'ok no-leak/vm',
      'no no-needless-switch',
      'ok balanced',
    ]);
  });

  it('leads from each failure to its counterexample, and says why that is known', () => {
    for (const id of ['never-no-leak-vm', 'always-no-needless-switch']) {
      expect(page).toContain(`<a href="#${id}">FAILS</a>`);
      expect(page).toContain(`<article id="${id}">`);
    }
    expect(page).toContain('<h2>never breaks no-leak/vm</h2>');
    expect(page).toMatch(/<p>Known: [^<]+<\/p><p>(No schedule of fewer|The schedule is shrunk)/);
    expect(page).toMatch(/vlbr replay v1\.[\w-]+ --driver port<\/code>/);
    const [found] = report.results;
    if (found.counterexample === null) throw new Error('never breaks no-leak/vm');
    const minimal = { ...found, counterexample: { ...found.counterexample, label: 'minimal' } };
    expect(verifyHtml(campaign({ results: [minimal as typeof found] }))).toContain(
      '<p>No schedule of fewer actions shows it on the small machines that were explored.</p>',
    );
  });

  it('marks the cells that no run has judged before the end came', () => {
    const [first, second] = report.results;
    const judged = { ...first, verdict: 'holds' as const, counterexample: null };
    const results = [judged, { ...second, policy: 'always', runs: 0 }];
    const whole = campaign({ results, interrupted: true });
    const cut = verifyHtml({ ...whole, policies: ['never', 'always', 'merged'] });
    const table = cut.slice(0, cut.indexOf('</table>'));
    const rows = table.split('<tr role="row">').slice(2);
    const cells = rows.map((row) => [
      />([\w-]+)<\/th>/.exec(row)?.[1],
      ...[...row.matchAll(/<td [^>]*>([^<]*)<\/td>/g)].map(([, text]) => text),
    ]);
    expect(cells).toEqual([
      ['never', 'holds', 'not judged'],
      ['always', 'not judged', 'not judged'],
      ['merged', 'not judged', 'not judged'],
    ]);
    expect(page).not.toContain('not judged');
  });

  it('tells the other causes of a failure, and leads to each', () => {
    const [found, ...rest] = report.results;
    if (found.counterexample === null) throw new Error('never breaks no-leak/vm');
    const otherCauses = [found.counterexample, found.counterexample];
    const text = verifyHtml(campaign({ results: [{ ...found, otherCauses }, ...rest] }));
    for (const n of [2, 3]) {
      const title = `never breaks no-leak/vm, cause ${n} of 3`;
      expect(text).toContain(`<li><a href="#never-no-leak-vm-${n}">${title}</a></li>`);
      expect(text).toContain(`<article id="never-no-leak-vm-${n}"><h2>${title}</h2>`);
    }
  });

  it('says what is not expected, what the kernel breaks, and that it was interrupted', () => {
    const [found, held] = report.results;
    const { counterexample } = found;
    if (counterexample === null) throw new Error('never breaks no-leak/vm');
    const text = verifyHtml(
      campaign({
        results: [
          { ...found, expected: 'holds' },
          { ...held, expected: 'fails' },
        ],
        kernelFindings: [
          { property: 'balanced', known: null, counterexample },
          { property: 'balanced', known: 'as everybody knows', counterexample },
        ],
        interrupted: true,
      }),
    );
    expect(text).toContain('FAILS</a><em>unexpected</em>');
    // It may fail yet.
    expect(text).toContain('>holds</td>');
    expect(text).toContain('<p>This is not expected.</p>');
    expect(text).toContain('<p>It is not known of this kernel.</p>');
    expect(text).toContain('<p>Known: as everybody knows</p>');
    expect(text).toContain('<p>Interrupted: these are the verdicts of the runs until then.</p>');
    expect(page).not.toContain('Interrupted');
  });
});
