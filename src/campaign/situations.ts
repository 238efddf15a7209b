/**
 * What a schedule has in it, by name: a kernel's list of known findings says in which situation
 * each of them shows. A failure without any of these situations is another one.
 */
import {
  ATTR_BOUND,
  ATTR_INHERIT,
  ATTR_PINNED,
  cgroupAsked,
  PERF_SAMPLE_BRANCH_PLM_ALL,
} from '../guest/perf/perf_event.js';
import { refusesCallstack } from '../judge/asked.js';
import { ACTION_WORDS, type Schedule } from '../schedule/schedule.js';
import { KIND } from '../schedule/table.js';

/** Call of the next instruction: `kind` of the action `call`. */
const ZERO_LENGTH = 2;

/** Whether an action of a kind, with these parameters, makes the situation. */
type Makes = (kind: number, a: number, b: number, c: number) => boolean;

const BY_ACTION: ReadonlyMap<Situation, Makes> = new Map<Situation, Makes>([
  ['a raw write of an MSR', (kind) => kind === KIND.wrmsr],
  ['a zero-length call', (kind, _a, b) => kind === KIND.call && b === ZERO_LENGTH],
  ['an event that is disabled', (kind) => kind === KIND.disable],
  ['an event that is closed', (kind) => kind === KIND.close],
  ['an NMI inside a function', (kind, _a, b) => kind === KIND.pmi && b > 0],
  [
    'an event of call stacks that is refused',
    (kind, _a, _b, c) => kind === KIND.open && refusesCallstack(c),
  ],
  ['a task that exits', (kind) => kind === KIND.taskExit],
  ['a task that moves to a cgroup', (kind) => kind === KIND.moveTask],
  ['a pinned event of a cgroup', (...action) => OF_CGROUP(...action) && PINNED(...action)],
]);

/** What is in a schedule where any of these actions is. */
const INHERITED: Makes = (kind, _a, b) => kind === KIND.open && (b & ATTR_INHERIT) !== 0;
const OF_ONE_CPU: Makes = (kind, a, b) => kind === KIND.open && (a < 0 || (b & ATTR_BOUND) !== 0);
const PINNED: Makes = (kind, _a, b) => kind === KIND.open && (b & ATTR_PINNED) !== 0;
const OF_CGROUP: Makes = (kind, _a, b) => kind === KIND.open && cgroupAsked(b) !== 0;
const ENABLED: Makes = (kind) => kind === KIND.enable;
const FORK: Makes = (kind) => kind === KIND.fork;
const MIGRATION: Makes = (kind) => kind === KIND.migrateTask;

/** Situations that take two actions. */
const BY_BOTH: readonly (readonly [Situation, Makes, Makes])[] = [
  ['a fork that inherits an event', INHERITED, FORK],
  ['a task that leaves the CPU of an event', OF_ONE_CPU, MIGRATION],
  ['an event that is enabled beside one of a cgroup', OF_CGROUP, ENABLED],
];

export type Situation =
  | 'a raw write of an MSR'
  | 'a zero-length call'
  | 'an event that is disabled'
  | 'an event that is closed'
  | 'an NMI inside a function'
  | 'an event of call stacks that is refused'
  | 'a task that exits'
  | 'a task that moves to a cgroup'
  | 'a pinned event of a cgroup'
  | 'an event that is enabled beside one of a cgroup'
  | 'a fork that inherits an event'
  | 'a task that leaves the CPU of an event'
  | 'events that ask for different branches';

/** The situations in a schedule. */
export function situationsIn(schedule: Schedule): ReadonlySet<Situation> {
  const { words, length } = schedule;
  const has = (makes: Makes): boolean => {
    for (let at = 0; at < length * ACTION_WORDS; at += ACTION_WORDS) {
      if (makes(words[at], words[at + 2], words[at + 3], words[at + 4])) return true;
    }
    return false;
  };
  const found = new Set<Situation>();
  for (const [name, makes] of BY_ACTION) if (has(makes)) found.add(name);
  for (const [name, one, other] of BY_BOTH) if (has(one) && has(other)) found.add(name);
  if (typesIn(schedule).size > 1) found.add('events that ask for different branches');
  return found;
}

/** What events are opened for; who asks for no level asks for all of them. */
function typesIn({ words, length }: Schedule): ReadonlySet<number> {
  const types = new Set<number>();
  for (let at = 0; at < length * ACTION_WORDS; at += ACTION_WORDS) {
    const type = words[at + 4];
    const all = (type & PERF_SAMPLE_BRANCH_PLM_ALL) === 0 ? PERF_SAMPLE_BRANCH_PLM_ALL : 0;
    if (words[at] === KIND.open && !refusesCallstack(type)) types.add(type | all);
  }
  return types;
}
