/** `vlbr explore`: looks at every schedule of a small machine, and prints the report. */
import { type Group, GROUP_NAMES } from '../../schedule/explored.js';
import { DEFAULT_GROUPS } from '../../states/alphabet.js';
import type { KernelVersion } from '../../guest/perf/kernel.js';
import type { Shape } from '../../machine/config.js';
import { POLICIES } from '../../host/policy/index.js';
import { POLICY_PROPERTIES } from '../../judge/properties.js';
import { CPU_MODELS, withDepth } from '../../hw/cpu_models.js';
import { coloursFor } from '../../console/colours.js';
import { exploreJson } from './json.js';
import { type Exploration, exploreText, type TimedExploration, unexpectedIn } from './text.js';
import { entryOf, namesOf } from '../../console/arguments.js';
import {
  EXIT_EXPECTED,
  EXIT_INTERRUPTED,
  EXIT_TRUNCATED,
  EXIT_UNEXPECTED,
} from '../../console/exit_codes.js';
import { UsageError } from '../../console/errors.js';
import { exploreLine } from './progress.js';
import type { ExploreJob, ExploreProgress } from './worker.js';
import type { DriverOptions } from '../../console/kernel_source.js';
import { PORT } from '../../guest/perf/lbr_port.js';
import { askedLbr, driverWords } from '../../console/kernel_source.js';
import { printJson, printLines } from '../../console/output.js';
import { inWorkers, type PoolResults } from '../../console/pool.js';

/** The options as commander hands them over. */
export interface ExploreOptions extends DriverOptions, Shape {
  readonly policy: string;
  readonly property: string;
  readonly cpu: string;
  readonly kernel: KernelVersion;
  readonly depth: number;
  readonly events: number;
  readonly calls?: number;
  readonly suspended: number;
  readonly bound?: number;
  /** In MB. */
  readonly memory: number;
  readonly actions: string;
  readonly fingerprints?: boolean;
  /** False with --no-symmetry. */
  readonly symmetry: boolean;
  readonly json?: boolean;
}

/** The build puts the worker's code beside this. */
const WORKER: URL = new URL('./explore_worker.js', import.meta.url);

const MB = 1_000_000;

/** Returns the exit code. @throws UsageError before anything has run. */
export async function explore(options: ExploreOptions): Promise<number> {
  const job = jobOf(options);
  const code = askedLbr(options);
  const began = performance.now();
  const { results, interrupted } = await explored({ ...job, binary: code?.bytes ?? null });
  const exploration: Exploration = {
    ...job,
    model: withDepth(entryOf('CPU', options.cpu, CPU_MODELS), options.depth),
    driver: code?.driver ?? PORT,
    source: code?.info ?? null,
    driverWords: driverWords(options),
    memoryMB: options.memory,
    results,
    interrupted,
    elapsed_s: Math.round(performance.now() - began) / 1000,
  };
  if (options.json === true) printJson(exploreJson(exploration));
  else printLines(exploreText(exploration, coloursFor(process.stdout.isTTY)));
  return exitCodeOf(exploration);
}

/** What a failure says is sure, even where a search was cut short. */
export function exitCodeOf({
  results,
  interrupted,
}: Pick<Exploration, 'results' | 'interrupted'>): number {
  if (interrupted) return EXIT_INTERRUPTED;
  if (results.some(({ explored: found }) => unexpectedIn(found).length > 0)) return EXIT_UNEXPECTED;
  return results.every(({ explored: { complete } }) => complete) ? EXIT_EXPECTED : EXIT_TRUNCATED;
}

/** How to see an exception again. */
export function adviceOf({ policy }: { readonly policy: string }): string[] {
  return [`the same command with --policy ${policy} shows it again`];
}

async function explored(job: ExploreJob): Promise<PoolResults<TimedExploration>> {
  const work = {
    worker: WORKER,
    job,
    // Whether something goes on for ever is found in silence, however large the search was.
    silence_ms: Infinity,
    advice: adviceOf,
  };
  const line = exploreLine(job.policies.length);
  return inWorkers<ExploreJob, ExploreProgress, TimedExploration>(work, line);
}

/** Checks everything that can be wrong with the options. */
export function jobOf(options: ExploreOptions): Omit<ExploreJob, 'binary'> {
  const { kernel, vms, vcpus, tasks, pcpus, depth, events, suspended, symmetry } = options;
  const names = POLICIES.map(({ name }) => name);
  const policies = namesOf('policy', options.policy, names);
  const properties = namesOf(
    'property',
    options.property,
    POLICY_PROPERTIES.map(({ name }) => name),
  );
  const silicon = entryOf('CPU', options.cpu, CPU_MODELS);
  if (tasks < vcpus) {
    throw new UsageError(`--tasks must be at least the vCPUs of a VM (${vcpus}), not ${tasks}`);
  }
  return {
    cpus: [withDepth(silicon, depth).name],
    kernel,
    shape: { vms, vcpus, tasks, pcpus },
    bounds: { groups: groupsOf(options.actions), events, calls: options.calls ?? depth, suspended },
    policies,
    properties,
    maxLength: options.bound ?? Infinity,
    memoryBytes: options.memory * MB,
    fingerprints: options.fingerprints === true,
    symmetry,
  };
}

/** The groups of a list; `default` stands for the default ones. */
function groupsOf(list: string): Group[] {
  const names = namesOf('group of actions', list, ['default', ...GROUP_NAMES]);
  const all = names.includes('default') ? [...names, ...DEFAULT_GROUPS] : names;
  return GROUP_NAMES.filter((group) => all.includes(group));
}
