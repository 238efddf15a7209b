/**
 * A schedule as a timeline: who runs where, what each MSR access did, and the registers when the
 * property broke. The schedule is run again for this.
 */
import type { Machine } from '../machine/machine.js';
import type { Breaker, ReplayCase } from '../campaign/replay_file.js';
import { Bench } from '../campaign/trial.js';
import { actionLine } from './action_line.js';
import { type Because, becauseLines } from './because.js';
import { Retelling } from './retelling.js';
import { ascii, plural, wrap } from '../console/text.js';
import { Watcher } from './watcher.js';

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
  const retelling = new Retelling(replay, (monitor, watch) => new Watcher(monitor, watch, full));
  const { breaker, machine, watcher } = retelling;
  const lines = bootLines(machine);
  for (const { number, head, possible, exits, lines: told } of retelling.actions(full)) {
    const counted = exits === 0 ? head : `${head} (${plural(exits, 'exit')})`;
    lines.push(...numbered(number, counted));
    const all = possible ? told : [...told, 'not possible here, so passed over'];
    const shown = full ? all : shortened(all);
    lines.push(...shown.flatMap((line) => wrap(line, `${INDENT}- `, `${INDENT}  `)));
  }
  const { text, because } = retelling.ending();
  const { failure } = watcher;
  if (failure !== null) {
    const broken = `breaks ${replay.property}: ${text}`;
    lines.push(...wrap(broken, `${INDENT}=> `, `${INDENT}   `));
    if (because !== null) lines.push(...becauseLines(because, `${INDENT}   `));
    lines.push(...failure.registers.map((line) => `${INDENT}   ${line}`));
  }
  return { lines: lines.map((line) => ascii(line).trimEnd()), breaker, text, because };
}

/**
 * The actions of a case, without their effects or a verdict. The first line has the places of the
 * vCPUs.
 */
export function actionLines({ config, schedule }: ReplayCase): string[] {
  const bench = new Bench(config);
  const { machine } = bench;
  bench.boot();
  const lines = bootLines(machine);
  for (let i = 0; i < schedule.length; i++) {
    lines.push(...numbered(i + 1, actionLine(machine, schedule.action(i))));
    bench.step(schedule, i);
  }
  return lines.map(ascii);
}

/** @param number - of the action, from 1. */
function numbered(number: number, text: string): string[] {
  return wrap(text, `  ${`#${number}`.padEnd(INDENT.length - 2)}`, INDENT);
}

/** The places of the vCPUs at the start of the schedule. */
function bootLines(machine: Machine): string[] {
  const { vms, vcpus, pcpus } = machine.config.shape;
  const where = machine.vcpus.map(({ id, vm, pcpu }) =>
    pcpu < 0 ? `v${id} (VM ${vm}) off` : `v${id} (VM ${vm}) on p${pcpu}`,
  );
  const what = `${plural(vms, 'VM')} of ${plural(vcpus, 'vCPU')}, ${plural(pcpus, 'pCPU')}`;
  return wrap(`${what}: ${where.join(', ')}`, '  ', '    ');
}

/** Keeps the start and the end: the last line tells what broke. */
function shortened(lines: readonly string[]): string[] {
  if (lines.length <= LINES_MAX) return [...lines];
  const left = lines.length - LINES_MAX + 1;
  const head = lines.slice(0, 3);
  return [...head, `... ${plural(left, 'more step')} ...`, ...lines.slice(3 + left)];
}
