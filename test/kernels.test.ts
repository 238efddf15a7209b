/**
 * What docs/FINDINGS.md says of Linux itself, version by version: each schedule runs on the port
 * and on each tree that this machine has, and so does every golden schedule.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Bench } from '../src/campaign/trial.js';
import type { DriverKind } from '../src/guest/perf/lbr_driver.js';
import { findPolicy } from '../src/host/policy/index.js';
import { PROPERTY_NAMES, type PropertyName } from '../src/judge/properties.js';
import type { MachineConfig } from '../src/machine/config.js';
import { parseAction } from '../src/schedule/action_text.js';
import { Schedule } from '../src/schedule/schedule.js';
import { imageDriver } from '../src/tree/image/image.js';
import { type Kept, keptConfig } from './golden/kept.js';
import { imageOf, imageVersions } from './rig/images.js';
import { machineConfig, policyOf } from './rig/machine.js';

const FINDINGS = readFileSync(new URL('../docs/FINDINGS.md', import.meta.url), 'utf8');
const [, SECTION = ''] = FINDINGS.split('\n## Linux itself, by version\n');
const [TEXT] = SECTION.split('\n## ');

/** A row of the table: what a schedule breaks, and how each kernel ends it. */
interface Row {
  readonly id: string;
  readonly property: PropertyName;
  /** By version: number of actions, `-` if the property holds, `n/a` if the port can't do it. */
  readonly ends: ReadonlyMap<string, string>;
}

function cellsOf(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}

const LINES = TEXT.split('\n').filter((line) => line.startsWith('| '));
/** VERSION and PATCHLEVEL of each column. */
const VERSIONS = cellsOf(LINES.find((line) => line.startsWith('| schedule |')) ?? '')
  .slice(2)
  .map((head) => /^\d+\.\d+/.exec(head)?.[0] ?? head);

const ROWS: readonly Row[] = LINES.filter((line) => /^\| K\d+ /.test(line)).map((line) => {
  const [id, property, ...ends] = cellsOf(line);
  return {
    id,
    property: property.replaceAll('`', '') as PropertyName,
    ends: new Map(VERSIONS.map((version, i) => [version, ends[i]])),
  };
});

/** The schedules of the section: `K1 skylake, 1 vCPU`, and an action a line. */
const SCHEDULES = new Map(
  [...TEXT.matchAll(/^```\n(K\d+) (\w+), (\d) vCPUs?\n([^]*?)^```$/gm)].map(
    ([, id, cpu, vcpus, text]) => [id, { cpu, vcpus: Number(vcpus), actions: linesOf(text) }],
  ),
);

function linesOf(text: string): string[] {
  return text.trimEnd().split('\n');
}

/** One VM with a CPU of its own for each vCPU, and one task more. */
function configOf(id: string, part: Partial<MachineConfig>): MachineConfig {
  const found = SCHEDULES.get(id);
  if (found === undefined) throw new Error(`docs/FINDINGS.md has no schedule ${id}`);
  const { cpu, vcpus } = found;
  const shape = { vms: 1, vcpus, tasks: vcpus + 1, pcpus: vcpus };
  return machineConfig({ cpu, shape, policy: policyOf('always'), ...part });
}

/** How a schedule ends: after how many actions the kernel breaks the property by itself. */
function endOf({ id, property }: Row, part: Partial<MachineConfig>): string {
  const bench = new Bench(configOf(id, part));
  const { actions = [] } = SCHEDULES.get(id) ?? {};
  const schedule = Schedule.of(actions.map(parseAction));
  const index = PROPERTY_NAMES.indexOf(property);
  bench.boot();
  for (let i = 0; i < schedule.length; i++) {
    if (!bench.step(schedule, i)) return 'n/a';
    if (bench.monitor.verdicts.own[index] !== 0) return String(i + 1);
  }
  return '-';
}

const DIR = new URL('./golden/', import.meta.url);

interface Golden extends Kept {
  readonly whose: 'policy' | 'kernel' | 'nobody';
}

/** Schedules of the port of 6.1; those of 4.18 need a driver of that time. */
const GOLDEN: readonly (readonly [name: string, golden: Golden])[] = readdirSync(DIR)
  .filter((name) => /^\d{3}-.*\.json$/.test(name))
  .map((name) => [name, JSON.parse(readFileSync(new URL(name, DIR), 'utf8')) as Golden] as const)
  .filter(([, { kernel }]) => kernel === '6.1');

/** Who breaks the property of a golden schedule, in a guest that runs an image. */
function whose(golden: Golden, driver: DriverKind): Golden['whose'] {
  const policy = findPolicy(golden.policy);
  if (policy === undefined) throw new Error(`no policy ${golden.policy}`);
  const bench = new Bench({ ...keptConfig(golden, policy), driver });
  const schedule = Schedule.of(golden.actions.map(parseAction));
  const property = PROPERTY_NAMES.indexOf(golden.property);
  bench.boot();
  for (let i = 0; i < schedule.length; i++) bench.step(schedule, i);
  const { broken, own } = bench.monitor.verdicts;
  if (broken[property] !== 0) return 'policy';
  return own[property] === 0 ? 'nobody' : 'kernel';
}

describe('docs/FINDINGS.md, Linux itself, by version', () => {
  it('the section has a schedule for each row of its table, and a row for each schedule', () => {
    expect(ROWS.length).toBeGreaterThan(10);
    expect(new Set(SCHEDULES.keys())).toEqual(new Set(ROWS.map(({ id }) => id)));
    expect(VERSIONS).toEqual(['4.18', '6.1', '6.12', '7.3']);
  });

  it('each schedule ends on the port of 4.18 as the table says', () => {
    const ended = ROWS.map((row) => [row.id, endOf(row, { kernel: '4.18' })]);
    expect(ended).toEqual(ROWS.map(({ id, ends }) => [id, ends.get('4.18')]));
  });

  it.each(['6.1', '6.12', '7.3'] as const)('the port of %s ends as the table says', (kernel) => {
    const withoutCgroups = ROWS.filter(({ ends }) => ends.get('4.18') !== 'n/a');
    expect(ROWS.length - withoutCgroups.length).toBe(4);
    const ended = withoutCgroups.map((row) => [row.id, endOf(row, { kernel })]);
    expect(ended).toEqual(withoutCgroups.map(({ id, ends }) => [id, ends.get(kernel)]));
  });

  for (const version of imageVersions(...VERSIONS.filter((one) => one !== '4.18'))) {
    it(`each schedule ends on the tree of ${version} as the table says`, async () => {
      const driver = imageDriver(await imageOf(version));
      const ended = ROWS.map((row) => [row.id, endOf(row, { driver })]);
      expect(ended).toEqual(ROWS.map(({ id, ends }) => [id, ends.get(version)]));
    });

    it(`each golden schedule ends in a guest of ${version} as in one of the port`, async () => {
      const driver = imageDriver(await imageOf(version));
      const ends = GOLDEN.map(([name, golden]) => [name, whose(golden, driver)]);
      expect(ends.length).toBeGreaterThan(60);
      expect(ends).toEqual(GOLDEN.map(([name, golden]) => [name, golden.whose]));
    });
  }
});
