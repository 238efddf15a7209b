/** The report of schedules that are run one by one, from hand-made results. */
import { describe, expect, it } from 'vitest';
import type { KernelFinding } from '../../../src/campaign/campaign.js';
import { listFor } from '../../../src/campaign/kernel_lists.js';
import { ShapeCampaign } from '../../../src/campaign/shape_campaign.js';
import { coloursFor } from '../../../src/console/colours.js';
import { WIDTH } from '../../../src/console/text.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { imageExitCode, imageState } from '../../../src/questions/explore/image.js';
import { imageJson } from '../../../src/questions/explore/image_json.js';
import type { ImageExploration } from '../../../src/questions/explore/image_text.js';
import { imageText } from '../../../src/questions/explore/image_text.js';
import { parseAction } from '../../../src/schedule/action_text.js';
import { Schedule } from '../../../src/schedule/schedule.js';
import { DEFAULT_GROUPS } from '../../../src/states/alphabet.js';
import type { Enumerated } from '../../../src/states/enumerate.js';
import type { ExploreResult } from '../../../src/states/explore.js';
import { PROPERTY } from '../../../src/judge/properties.js';
import { cpuModel } from '../../rig/cpu.js';
import { machineConfig, policyOf } from '../../rig/machine.js';
import { wrongWithMade } from '../../rig/schemas.js';
import { tooLong, WIDTHS } from '../../rig/widths.js';

const SHAPE = { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };

function finding(property: KernelFinding['property'], known: string | null): KernelFinding {
  const config = machineConfig({ shape: SHAPE, policy: policyOf('never') });
  const schedule = Schedule.of([parseAction('v0: taskSwitch task=1')]);
  const found = new ShapeCampaign(config).replay(schedule, PROPERTY[property]);
  const text = '';
  return {
    property,
    known,
    counterexample: { ...found, text, cause: 'hardware', label: 'minimal' },
  };
}

const HOLDS: ExploreResult = {
  property: 'no-leak/vm',
  verdict: 'holds',
  known: false,
  reason: '',
  counterexample: null,
};

function enumerated(more: Partial<Enumerated> = {}): Enumerated {
  return {
    policy: 'never',
    schedules: [4, 1200],
    performed: 2400,
    covered: 2,
    complete: true,
    results: [HOLDS],
    findings: [],
    neverPossible: [],
    ...more,
  };
}

function exploration(found: readonly Enumerated[], interrupted = false): ImageExploration {
  return {
    model: cpuModel('haswell'),
    kernel: '6.1',
    driver: { ...PORT, name: 'kernel' },
    source: { version: '9.9.1', sha256: '0123456789abcdef'.repeat(4), whole: true },
    driverWords: ['--driver', 'kernel', '--kernel-src', 'tree'],
    shape: SHAPE,
    bounds: { groups: DEFAULT_GROUPS, events: 1, calls: 4, suspended: 1 },
    maxLength: 2,
    list: listFor('9.9.1'),
    ownList: false,
    policies: ['never', 'parked'],
    results: found.map((explored) => ({ explored, seconds: 2 })),
    interrupted,
    elapsed_s: 2,
  };
}

function reportOf(...found: readonly Enumerated[]): string {
  const lines = imageText(exploration(found), coloursFor(false));
  for (const line of lines) {
    if (!line.includes('vlbr replay')) expect(line.length).toBeLessThanOrEqual(WIDTH);
  }
  return lines.join('\n');
}

describe('the report of schedules one by one', () => {
  it('says to which length what holds, and how many schedules there were', () => {
    const text = reportOf(enumerated());
    expect(text).toMatch(/^guest with the perf core .* of Linux 9\.9\.1/m);
    expect(text).toMatch(/^never +complete +1,204 +2,400 +2\.0 +602$/m);
    expect(text).toMatch(/^never: complete to 2 actions$/m);
    expect(text).toContain('by their length, from 1 on: 4, 1,200');
    expect(text).toMatch(/holds for every schedule of at most 2 actions of 2 VMs/);
    expect(text).toMatch(/^not begun: parked$/m);
    expect(text).toContain('Linux 9.9.1 has no list of its own');
    expect(text).toMatch(/^1 complete, 0 truncated, 0 unexpected failures; 2\.0 s$/m);
  });

  it('tells once what the kernel breaks under several policies, what is unknown first', () => {
    const own = [finding('no-leak/task', 'known for years'), finding('sample-true', null)];
    const text = reportOf(enumerated({ findings: own }), enumerated({ findings: own }));
    expect(text.match(/the guest's kernel breaks/g)).toHaveLength(2);
    expect(text.indexOf('breaks sample-true')).toBeLessThan(text.indexOf('breaks no-leak/task'));
    expect(text).toContain(`not known of Linux ${listFor('9.9.1').version}`);
    expect(text).toContain('known: known for years');
    expect(text).toMatch(/vlbr replay v1\.\S+ --driver kernel --kernel-src tree$/m);
    expect(text).toMatch(/2 unexpected failures/);
  });

  it.each(WIDTHS)('no line but a token is longer than %i columns', (width) => {
    const findings = [
      finding('no-leak/task', 'known for years '.repeat(9)),
      finding('balanced', null),
    ];
    const found = exploration([enumerated({ findings, neverPossible: ['fork', 'exit'] })]);
    expect(tooLong(width, () => imageText(found, coloursFor(false)))).toEqual([]);
  });

  it("counts a kernel's failure once where the property is the kernel's", () => {
    const own = finding('no-warn', null);
    const { counterexample } = own;
    const result = { ...HOLDS, property: 'no-warn', verdict: 'fails', counterexample } as const;
    const found = enumerated({ results: [result], findings: [own] });
    const text = reportOf(found);
    expect(text).toMatch(/^no-warn +FAILS 1!$/m);
    expect(text).not.toContain('never breaks no-warn');
    expect(text).toMatch(/, 1 unexpected failure;/);
    expect(wrongWithMade(imageJson(exploration([found])))).toEqual([]);
    const { results } = imageJson(exploration([found])) as unknown as {
      results: readonly object[];
    };
    expect(results).toMatchObject([
      { schedules: 1204, kernelFindings: [{ property: 'no-warn', known: null }] },
    ]);
  });

  it('ends with the code of what it found', () => {
    const code = (found: Enumerated, interrupted = false): number =>
      imageExitCode(exploration([found], interrupted));
    expect(code(enumerated())).toBe(0);
    expect(code(enumerated({ complete: false, covered: 1 }))).toBe(4);
    expect(code(enumerated({ findings: [finding('balanced', 'known')] }))).toBe(0);
    expect(code(enumerated({ findings: [finding('balanced', null)] }))).toBe(1);
    expect(code(enumerated(), true)).toBe(4);
  });

  it('says on a line how far each policy is', () => {
    const now = { schedules: 6000, performed: 9000, length: 4, done: 12, of: 54 };
    const text = imageState([{ policy: 'never', ...now }], 2);
    expect(text).toBe('6.00k schedules | 3.00k schedules/s | never 4 actions, 12 of 54');
  });
});
