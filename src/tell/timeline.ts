/**
 * A schedule as a timeline: who runs where, what each MSR access did, and the registers when the
 * property broke. The schedule is run again for this.
 */
import type { Machine } from '../machine/machine.js';
import { ACTIONS } from '../schedule/table.js';
import { step } from '../schedule/schedule.js';
import { Monitor } from '../judge/monitor.js';
import { type Breaker, breakerOf, type ReplayCase } from '../campaign/replay_file.js';
import { Bench } from '../campaign/trial.js';
import { bootWatched } from '../campaign/watched.js';
import { actionLine } from './action_line.js';
import { nameMsrs } from './msr_name.js';
import { type Because, becauseLines, becauseOf } from './because.js';
import { narrate } from './narrative.js';
import { ascii, plural, wrap } from '../console/text.js';
import { Watcher, watchOf } from './watcher.js';

export interface Timeline {
  readonly lines: readonly string[];
  readonly breaker: Breaker;
  /** The failure in one line; empty if nothing broke. */
  readonly text: string;
  /** Why it broke; null if nothing did. */
  readonly because: Because | null;
}

/** Lines that an action may take at most, apart from its first. */
const LINES_MAX = 6;

const INDENT = '      ';

/**
 * Runs a case and tells its events. The same case gives the same lines.
 *
 * @param full - whether nothing is abbreviated: all accesses, all records.
 * @example
 * import { findCpuModel, findPolicy, parseAction, Schedule, timeline } from 'vlbr';
 *
 * const shape = { vms: 1, vcpus: 1, tasks: 1, pcpus: 1 };
 * const [policy, model] = [findPolicy('never'), findCpuModel('skylake')];
 * const config = { shape, model, kernel: '6.1', policy };
 * const schedule = Schedule.of([parseAction('v0: halt')]);
 * const { breaker, lines } = timeline({ config, property: 'no-fault', schedule, whose: null });
 * breaker; // 'nobody'
 * lines[0]; // '  1 VM of 1 vCPU, 1 pCPU: v0 (VM 0) on p0'
 */
export function timeline(replay: ReplayCase, full = false): Timeline {
  const { config, property, schedule } = replay;
  const breaker = breakerOf(replay);
  const monitor = new Monitor(config);
  const watcher = new Watcher(monitor, watchOf(replay, breaker), full);
  const machine = bootWatched(config, monitor, watcher);
  watcher.take();
  const lines = [bootLine(machine)];
  for (let i = 0; i < schedule.length; i++) {
    const action = schedule.action(i);
    const head = actionLine(machine, action);
    const possible = step(machine, schedule, i);
    const { entries, exits } = watcher.take();
    const told = narrate(machine, entries, {
      about: ACTIONS[action.kind].about ?? 'anything',
      full,
    });
    if (!possible) told.push('not possible here, so passed over');
    const counted = exits === 0 ? head : `${head} (${plural(exits, 'exit')})`;
    lines.push(...numbered(i, counted));
    const shown = full ? told : shortened(told);
    lines.push(...shown.flatMap((line) => wrap(line, `${INDENT}- `, `${INDENT}  `)));
    if (watcher.failure !== null) break;
  }
  const { failure } = watcher;
  if (failure === null) return finish(lines, breaker, '', null);
  const text = ascii(nameMsrs(config.model, failure.text));
  lines.push(...wrap(`breaks ${property}: ${text}`, `${INDENT}=> `, `${INDENT}   `));
  const because = becauseOf(replay, breaker, text);
  if (because !== null) lines.push(...becauseLines(because, `${INDENT}   `));
  lines.push(...failure.registers.map((line) => `${INDENT}   ${line}`));
  return finish(lines, breaker, text, because);
}

/**
 * The actions of a case, without their effects or a verdict. The first line has the places of the
 * vCPUs.
 */
export function actionLines({ config, schedule }: ReplayCase): string[] {
  const bench = new Bench(config);
  const { machine } = bench;
  bench.boot();
  const lines = [bootLine(machine)];
  for (let i = 0; i < schedule.length; i++) {
    lines.push(...numbered(i, actionLine(machine, schedule.action(i))));
    bench.step(schedule, i);
  }
  return lines.map(ascii);
}

/** @param i - index of the action. */
function numbered(i: number, text: string): string[] {
  return wrap(text, `  ${`#${i + 1}`.padEnd(INDENT.length - 2)}`, INDENT);
}

function finish(
  lines: readonly string[],
  breaker: Breaker,
  text: string,
  because: Because | null,
): Timeline {
  return { lines: lines.map((line) => ascii(line).trimEnd()), breaker, text, because };
}

/** The places of the vCPUs at the start of the schedule. */
function bootLine(machine: Machine): string {
  const { vms, vcpus, pcpus } = machine.config.shape;
  const where = machine.vcpus.map(({ id, vm, pcpu }) =>
    pcpu < 0 ? `v${id} (VM ${vm}) off` : `v${id} (VM ${vm}) on p${pcpu}`,
  );
  const what = `${plural(vms, 'VM')} of ${plural(vcpus, 'vCPU')}, ${plural(pcpus, 'pCPU')}`;
  return `  ${what}: ${where.join(', ')}`;
}

/** Keeps the start and the end: the last line tells what broke. */
function shortened(lines: readonly string[]): string[] {
  if (lines.length <= LINES_MAX) return [...lines];
  const left = lines.length - LINES_MAX + 1;
  const head = lines.slice(0, 3);
  return [...head, `... ${plural(left, 'more step')} ...`, ...lines.slice(3 + left)];
}
