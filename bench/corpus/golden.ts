/** The failures that test/golden keeps schedules of. */
import { readdirSync, readFileSync } from 'node:fs';
import { PartingBench } from '../../src/campaign/because.js';
import { DEFAULT_SHAPES } from '../../src/campaign/campaign.js';
import { type Breaker, parseReplayText } from '../../src/campaign/replay_file.js';
import { Bench } from '../../src/campaign/trial.js';
import { PROPERTY, type PropertyName } from '../../src/judge/properties.js';
import type { MachineConfig } from '../../src/machine/config.js';
import type { Ground, Quarry } from './hunt.js';
import { type Corpus, Runs } from './runs.js';

/** What tells failures apart, as in a campaign. Several files may keep the same one. */
interface Finding {
  readonly files: string[];
  readonly config: MachineConfig;
  readonly property: PropertyName;
  readonly by: Exclude<Breaker, 'nobody'>;
  readonly cause: string;
}

const FOLDER = new URL('../../test/golden/', import.meta.url);

function findings(): Finding[] {
  const found: Finding[] = [];
  const files = readdirSync(FOLDER).filter((name) => /^\d{3}-.*\.json$/.test(name));
  for (const file of files.toSorted()) {
    const [replay] = parseReplayText(readFileSync(new URL(file, FOLDER), 'utf8'));
    const { config, property, whose } = replay;
    if (whose === null || whose === 'nobody') continue;
    const breach = { property, by: whose };
    const cause = new PartingBench(config).causeOf(replay.schedule, breach);
    const number = file.slice(0, 3);
    const same = found.find(
      (one) =>
        isBeside(one.config, config) &&
        one.property === property &&
        one.by === whose &&
        one.cause === cause,
    );
    if (same !== undefined) same.files.push(number);
    else found.push({ files: [number], config, property, by: whose, cause });
  }
  return found;
}

/** Whether the same runs can find both. */
function isBeside(a: MachineConfig, b: MachineConfig): boolean {
  return a.policy === b.policy && a.model === b.model && a.kernel === b.kernel;
}

/** Everything that test/golden knows, by policy, CPU and kernel. */
export function goldenQuarries(): Quarry[] {
  const groups: Finding[][] = [];
  for (const finding of findings()) {
    const group = groups.find(([first]) => isBeside(first.config, finding.config));
    if (group === undefined) groups.push([finding]);
    else group.push(finding);
  }
  return groups.map((group) => ({
    wanted: group.map(({ files, config, property, by }) => [
      `golden ${files.join(', ')}`,
      by === 'kernel' ? 'kernel' : config.policy.name,
      config.model.name,
      property,
    ]),
    begin: (corpus) => {
      const grounds = DEFAULT_SHAPES.map((shape) =>
        groundOf({ ...group[0].config, shape }, group, corpus),
      );
      return (i) => grounds[i % grounds.length];
    },
  }));
}

function groundOf(config: MachineConfig, group: readonly Finding[], corpus: Corpus | null): Ground {
  const bench = new Bench(config);
  const partings = new PartingBench(config);
  const runs = new Runs(bench, corpus);
  const shows = (wanted: number): boolean => {
    const { property, by, cause } = group[wanted];
    const { schedule } = runs;
    const p = PROPERTY[property];
    const { broken, own } = bench.monitor.verdicts;
    if ((by === 'policy' ? broken : own)[p] === 0) return false;
    if (by === 'kernel' && !bench.breaksAlone(schedule, schedule.length, p)) return false;
    return partings.causeOf(schedule, { property, by }) === cause;
  };
  return { runs, guestsOnly: false, shows };
}
