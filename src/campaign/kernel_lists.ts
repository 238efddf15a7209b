/**
 * What each kernel is known to break by itself, on a CPU of its own: as a policy declares its known
 * failures, a version of Linux has a list. docs/FINDINGS.md tells the story of each entry.
 */
import type { CpuModel } from '../hw/cpu_models.js';
import type { PropertyName } from '../judge/properties.js';
import type { Schedule } from '../schedule/schedule.js';
import { type Situation, situationsIn } from './situations.js';

/** A failure that is known. */
export interface KnownFinding {
  readonly property: PropertyName;
  /** It shows in schedules that have one of these; in any, if there is none. */
  readonly given: readonly Situation[];
  readonly why: string;
  /** CPUs on which it shows; on all, if this is missing. */
  readonly where?: (model: CpuModel) => boolean;
  /** Whether a campaign of 4,000 runs may miss it. */
  readonly rare?: true;
}

export interface KernelList {
  /** VERSION and PATCHLEVEL. */
  readonly version: string;
  readonly findings: readonly KnownFinding[];
}

const MIXED: Situation = 'events that ask for different branches';
/** Nobody counts any more, and the records stay. */
const STOPPED: readonly Situation[] = [
  'an event that is disabled',
  'an event that is closed',
  'a task that exits',
];

/** Since call-stack mode exists. */
const ALWAYS: readonly KnownFinding[] = [
  {
    property: 'balanced',
    given: [MIXED],
    why:
      'lbr.c counts call-stack users by cpuc->br_sel, which is that of the event that was added ' +
      'last, and an event that finds LBR_SELECT taken is counted, too',
  },
  {
    property: 'sample-true',
    given: [MIXED],
    why: 'one filter in software, cpuc->br_sel, serves all events of a CPU',
  },
  {
    property: 'callstack-true',
    given: [
      ...STOPPED,
      MIXED,
      'a task that leaves the CPU of an event',
      'a raw write of an MSR',
      'a zero-length call',
      'an NMI inside a function',
    ],
    why:
      'records stay while nobody counts, and are as old as that when an event counts again; what ' +
      'a task does on another CPU than that of its event is not recorded; who writes LBR MSRs, ' +
      'or calls the next instruction, is believed',
  },
  {
    property: 'no-leak/task',
    given: [
      ...STOPPED,
      MIXED,
      'an NMI inside a function',
      'a raw write of an MSR',
      'a task that moves to a cgroup',
    ],
    why:
      'perf resets LBR for the first event that never ran, and for no other; and its shortcut ' +
      'takes records for those of the task that was saved last',
  },
  {
    property: 'no-loss/task',
    given: [MIXED],
    why: 'without a call-stack user by its count, perf saves nothing',
    rare: true,
  },
  {
    property: 'filter-true',
    given: [],
    why: 'nhm_lbr_sel_map has no entry for CALL: an event that asks for calls gets none',
    where: ({ select }) => select === 'nhm',
  },
];

/** Where a guest has cgroups: the port of 4.18 has none. */
const CGROUPS: readonly KnownFinding[] = [
  {
    property: 'events-count',
    given: ['an event that is enabled beside one of a cgroup'],
    why:
      'the context of a CPU is not active when all its events are of cgroups that do not run ' +
      'there, and what is enabled in such a context waits until a switch makes it active',
    rare: true,
  },
  {
    property: 'events-count',
    given: ['a pinned event of a cgroup'],
    why:
      'a task that moves to a cgroup brings its events in while those of the task stay, so ' +
      'that a pinned one fails for one that is not pinned',
    rare: true,
  },
];

/** After 6.1: a switch of cgroups leaves PMUs alone that have no event of a cgroup. */
const PMU_OFF: readonly KnownFinding[] = (['balanced', 'filter-true'] as const).map((property) => ({
  property,
  given: ['a pinned event of a cgroup'],
  why:
    'a pinned event that fails in a switch of cgroups is no longer one of a cgroup, and if it ' +
    'was the last one, the PMU that the switch has disabled is not enabled again',
  rare: true,
}));

/** Since 6.15, which keeps what it saves with the task and not with the context of its events. */
const BY_TASK: readonly KnownFinding[] = (
  ['balanced', 'callstack-true', 'no-loss/task'] as const
).map((property) => ({
  property,
  given: ['a fork that inherits an event'],
  why:
    'a user is counted for the task of its event; where two tasks swap their contexts, the ' +
    'events change sides and the counts stay',
}));

/** Where intel_pmu_lbr_filter() looks at the level of a target alone. */
const FROM_KERNEL: KnownFinding = {
  property: 'sample-true',
  given: [],
  why:
    'a branch out of the kernel ends in user mode, and who asks for user mode alone is shown the ' +
    'address in the kernel that it came from',
};

/** Before 6.1. */
const NO_PRIV_SAVE: KnownFinding = {
  property: 'filter-true',
  given: [],
  why: 'PERF_SAMPLE_BRANCH_PRIV_SAVE is younger than this kernel, which refuses it',
};

/** Since 6.15 as well. */
const REFUSED: readonly KnownFinding[] = (
  ['balanced', 'callstack-true', 'no-loss/task', 'no-leak/task'] as const
).map((property) => ({
  property,
  given: ['an event of call stacks that is refused'],
  why:
    'an event that the driver refuses gives back a reference of its task that it never took, and ' +
    'the space in which the call stack of the task is kept is freed under the events that use it',
  rare: true,
}));

const SINCE_6_15: readonly KnownFinding[] = [
  ...ALWAYS,
  ...CGROUPS,
  ...PMU_OFF,
  ...BY_TASK,
  ...REFUSED,
];

export const KERNEL_LISTS: readonly KernelList[] = [
  { version: '4.18', findings: ALWAYS },
  { version: '5.9', findings: [FROM_KERNEL, NO_PRIV_SAVE, ...ALWAYS] },
  { version: '6.1', findings: [...ALWAYS, ...CGROUPS] },
  { version: '6.12', findings: [...ALWAYS, ...CGROUPS, ...PMU_OFF] },
  { version: '6.17', findings: [FROM_KERNEL, ...SINCE_6_15] },
  { version: '7.2', findings: SINCE_6_15 },
  { version: '7.3', findings: SINCE_6_15 },
];

/** VERSION and PATCHLEVEL as one number that grows from version to version, or NaN. */
function rank(version: string): number {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(major) * 1000 + Number(minor);
}

/**
 * The list of a version, or of the nearest one that has a list: the newest that is not newer, else
 * the oldest. An unknown version has that of the newest.
 */
export function listFor(version: string): KernelList {
  const wanted = rank(version);
  const older = KERNEL_LISTS.filter((list) => !(rank(list.version) > wanted));
  return older.at(-1) ?? KERNEL_LISTS[0];
}

/** Whether a list is of that very version. */
export function isListOf(list: KernelList, version: string): boolean {
  return rank(list.version) === rank(version);
}

/** The entry of a list that a failing schedule may be, or null. */
export function knownIn(
  list: KernelList,
  model: CpuModel,
  property: PropertyName,
  schedule: Schedule,
): KnownFinding | null {
  const entries = list.findings.filter(
    (finding) => finding.property === property && finding.where?.(model) !== false,
  );
  if (entries.length === 0) return null;
  const situations = situationsIn(schedule);
  const shows = ({ given }: KnownFinding): boolean =>
    given.length === 0 || given.some((one) => situations.has(one));
  return entries.find(shows) ?? null;
}

/** Entries that a campaign of enough runs on a CPU must have met. */
export function mustShow(list: KernelList, model: CpuModel): readonly KnownFinding[] {
  const callstack: readonly PropertyName[] = ['callstack-true', 'balanced', 'no-loss/task'];
  return list.findings.filter(
    ({ property, where, rare }) =>
      rare !== true &&
      where?.(model) !== false &&
      (model.callstack || !callstack.includes(property)),
  );
}
