/** What `vlbr cost` prints: text, JSON, CSV and a chart. */
import { describe, expect, it } from 'vitest';
import { coloursFor } from '../../../src/console/colours.js';
import { parseRecording } from '../../../src/recording/read.js';
import { DEFAULT_COSTS } from '../../../src/questions/cost/cost_table.js';
import { costCsv } from '../../../src/questions/cost/csv.js';
import { costJson } from '../../../src/questions/cost/json.js';
import { COUNTS, type Counts } from '../../../src/questions/cost/ledger.js';
import { profileOf } from '../../../src/questions/cost/profile.js';
import { costSvg } from '../../../src/questions/cost/svg.js';
import { type Costs, costText } from '../../../src/questions/cost/text.js';
import { record } from '../../rig/recordings.js';
import { wrongWithMade } from '../../rig/schemas.js';
import { inColumns, tooLong, WIDTHS } from '../../rig/widths.js';

const HOST = parseRecording(record(['0 0 100', '0 100 200', '0 200 0']), 'host.txt');

function countsOf(given: Partial<Record<(typeof COUNTS)[number], number>>): Counts {
  return Float64Array.from(COUNTS, (name) => given[name] ?? 0);
}

function result(policy: string, cheap: Parameters<typeof countsOf>[0], complete = true) {
  const played = { host: 0, profile: 0, ran: [1000, 1000], complete };
  const counts = [countsOf(cheap), countsOf({ arrivals: 1 })];
  return { policy, results: [{ ...played, counts }] };
}

const REPORT: Costs = {
  recordings: [HOST],
  guests: [],
  profiles: [profileOf('always')],
  results: [
    result('never', { arrivals: 1, wrong: 12, foreign: 5, guestWrites: 3 }),
    result('dear', { arrivals: 1, reads: 1000, exits: 1, guestWrites: 3 }),
    result('cheap', { arrivals: 1, reads: 100, writes: 3, selects: 2, exits: 40, guestWrites: 3 }),
    result('same', { arrivals: 1, reads: 1000, exits: 1, guestWrites: 3 }),
  ],
  costs: DEFAULT_COSTS,
  sweep: { name: 'exit', low: 1000, high: 4000 },
  interrupted: false,
  cpu: 'skylake',
  kernel: '6.1',
  seed: 3,
};

const textOf = (report: Costs, byVcpu = false): string =>
  costText(report, byVcpu, coloursFor(false)).join('\n');
const squeezed = (text: string): string[] =>
  text.split('\n').map((line) => line.trim().replaceAll(/ +/g, ' '));

describe('the text', () => {
  it('has what was done, what it comes to, and what follows from it', () => {
    const lines = squeezed(textOf(REPORT));
    expect(lines).toContain('cheap 0 0 0 100 5 40 0 0 0 3');
    expect(lines).toContain('never 0 12 5 0 0 0.000%');
    expect(lines.some((line) => /^cheap 0 0 0 88\.6k 44\.3k 1477\.\d+% #+$/.test(line))).toBe(true);
    expect(lines).toContain('A guest reads something wrong here under never.');
    expect(lines).toContain('No read is wrong here, cheapest first: dear = same, cheap.');
    expect(lines.join(' ')).toContain(
      "This recording can't tell dear, same apart: they do the same at each switch that was " +
        'recorded.',
    );
    expect(lines.join(' ')).toContain('skylake, Linux 6.1, seed 3.');
  });

  it.each(WIDTHS)(
    'no line is longer than %i columns, with every policy and large counts',
    (width) => {
      const many = countsOf(Object.fromEntries(COUNTS.map((name) => [name, 987_654_321])));
      const lost = record(['0 0 100', '0 101 0', '0 0 100', '0 100 200', '0 200 0']);
      const host = parseRecording(lost, 'a-name/of-a/recording.txt', { allowGaps: true });
      const results = ['lazy-literal', 'v8-as-posted'].map((policy) => ({
        policy,
        results: [0, 1].map((on) => ({
          ...REPORT.results[0].results[0],
          host: on,
          complete: false,
          counts: host.vcpus.map(() => many),
          ran: host.vcpus.map(() => 5),
        })),
      }));
      for (const sweep of [REPORT.sweep, null]) {
        const wide = { ...REPORT, recordings: [host, host], results, sweep, interrupted: true };
        expect(tooLong(width, () => costText(wide, true, coloursFor(false)))).toEqual([]);
      }
      expect(tooLong(width, () => costText(REPORT, false, coloursFor(false)))).toEqual([]);
    },
  );

  it('bars take the room that the cycles leave, beside their own lines', () => {
    const bars = (width: number): string[] =>
      inColumns(width, () => textOf(REPORT))
        .split('\n')
        .flatMap((line) => /^(\w+) .*%  (#+)$/.exec(line)?.slice(1).map(String).join(' ') ?? []);
    const most = '#'.repeat(24);
    const less = '#'.repeat(23);
    expect(bars(100)).toEqual([`dear ${less}`, `cheap ${most}`, `same ${less}`]);
    expect(bars(60).map((bar) => bar.split(' ')[0])).toEqual(['dear', 'cheap', 'same']);
    const ten = '#'.repeat(10);
    expect(bars(40)).toEqual(['dear', 'cheap', 'same'].map((name) => `${name} ${ten}`));
  });

  it('a policy that gives guests no LBR is not the cheapest', () => {
    const given = result('given', { arrivals: 1, reads: 9, guestReads: 1 });
    const text = squeezed(textOf({ ...REPORT, results: [result('withheld', {}), given] }));
    expect(text).toContain('Guests have no LBR to use under withheld, and so it is not ranked.');
    expect(text).toContain('No read is wrong here, cheapest first: given.');
    expect(textOf(REPORT)).not.toContain('Guests have no LBR');
  });

  it('a sweep says where two policies cost the same, or that none do', () => {
    const found = result('b', { arrivals: 1, reads: 1050 });
    const swept = textOf({ ...REPORT, results: [result('a', { arrivals: 1, exits: 40 }), found] });
    expect(swept).toContain('  below 2,100 a is cheaper, above b');
    const none = textOf({ ...REPORT, results: [found] });
    expect(none).toContain(
      'Sweep of exit from 1000 to 4000: the order of the policies does not change.',
    );
    expect(textOf({ ...REPORT, sweep: null })).not.toContain('Sweep');
  });

  it('why a recording can’t tell policies apart is said', () => {
    const idle = textOf({ ...REPORT, profiles: [profileOf('never')] });
    expect(idle).toContain('apart: no guest uses LBR.');
    const unused = { results: [result('x', {}), result('y', {})] };
    expect(squeezed(textOf({ ...REPORT, ...unused })).join(' ')).toContain(
      'apart: no vCPU runs at a time when its guest takes call stacks.',
    );
    expect(squeezed(textOf({ ...REPORT, ...unused, cpu: 'nehalem' })).join(' ')).toContain(
      'apart: a guest of nehalem has no call stacks, and so does not use LBR.',
    );
    const alone = parseRecording(record(['0 0 100', '0 100 0', '0 0 100', '0 100 0']), 'alone.txt');
    const [one, two] = [result('x', {}), result('y', {})].map(({ policy, results: [r] }) => ({
      policy,
      results: [{ ...r, counts: [countsOf({ guestReads: 1 })], ran: [5] }],
    }));
    const text = textOf({ ...REPORT, recordings: [alone], results: [one, two] });
    expect(text).toContain('apart: no vCPU finds a pCPU where another one was before.');
  });

  it('what was cut short says so, and each vCPU has its line if it is asked for', () => {
    const cut = textOf({ ...REPORT, interrupted: true, results: [result('slow', {}, false)] });
    expect(cut).toContain('slow (cut short)');
    expect(cut).toContain('interrupted: this is what was read and played until then');
    expect(textOf(REPORT)).not.toContain('interrupted');
    const byVcpu = squeezed(textOf(REPORT, true));
    expect(byVcpu.filter((line) => line.startsWith('cheap ')).length).toBe(2 + 2 * 2);
  });

  it('two recordings stand beside each other', () => {
    const twice = REPORT.results.map(({ policy, results: [r] }) => ({
      policy,
      results: [r, { ...r, host: 1, ran: [2000, 2000] }],
    }));
    const lines = squeezed(textOf({ ...REPORT, recordings: [HOST, HOST], results: twice }));
    expect(lines).toContain('policy recording 1 recording 2');
    expect(lines.some((line) => /^dear 1366\.667% 683\.333%$/.test(line))).toBe(true);
  });
});

describe('the other forms', () => {
  it('JSON has the costs with their sources, the totals, and each vCPU', () => {
    expect(wrongWithMade(costJson(REPORT))).toEqual([]);
    const json = JSON.parse(JSON.stringify(costJson(REPORT)));
    expect(json).toMatchObject({ schema: 'vlbr/cost/2', cpu: 'skylake', kernel: '6.1', seed: 3 });
    expect(json.costs.write).toMatchObject({ value: 120, low: 60, high: 300, parameter: true });
    expect(json.costs.exit.parameter).toBe(false);
    const [{ policies, alike, crossings }] = json.recordings[0].profiles;
    expect(alike).toEqual([['dear', 'same']]);
    expect(crossings).toMatchObject({ name: 'exit', low: 1000, high: 4000 });
    const cheap = policies[2];
    expect(cheap).toMatchObject({ policy: 'cheap', reads: 100, exits: 40, cycles: 88_660 });
    expect(cheap.vcpus).toHaveLength(2);
    const sum = cheap.vcpus.reduce((n: number, one: { cycles: number }) => n + one.cycles, 0);
    expect(sum).toBe(cheap.cycles);
    expect(
      JSON.parse(JSON.stringify(costJson({ ...REPORT, sweep: null }))).recordings[0].profiles[0]
        .crossings,
    ).toBe(null);
  });

  it('CSV has a line for each vCPU under each policy', () => {
    const [head, ...lines] = costCsv(REPORT).map((line) => line.split(','));
    expect(head.slice(0, 6)).toEqual(['recording', 'profile', 'policy', 'vm', 'vcpu', 'ran_s']);
    expect(head.slice(-2)).toEqual(['cycles', 'complete']);
    expect(lines).toHaveLength(8);
    const cheap = Object.fromEntries(head.map((name, i) => [name, lines[4][i]]));
    expect(cheap).toMatchObject({ policy: 'cheap', reads: '100', exits: '40', cycles: '88660' });
  });

  it('the chart has a bar for each policy, in two colours, by what guests read', async () => {
    const svg = await costSvg(REPORT);
    expect(svg).toMatch(/^<svg/);
    for (const word of ['never', 'dear', 'cheap', 'same', 'host.txt, always', 'all reads right']) {
      expect([word, svg.includes(word)]).toEqual([word, true]);
    }
    expect(svg.match(/<path[^>]*fill="#2a6f97"/g)).toHaveLength(3 + 1);
    expect(svg.match(/<path[^>]*fill="#c1666b"/g)).toHaveLength(1 + 1);
    expect(svg).not.toMatch(/https?:\/\/(?!www\.w3\.org)/);
  });
});
