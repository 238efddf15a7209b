/**
 * What each policy costs a host, for five kinds of guest. Two VMs of one vCPU share a pCPU, and
 * every policy gets the same schedules. The table depends on the seeds only. An argument is a
 * kernel tree, as of --kernel-src: its KVM is a row more.
 */
import { PORT } from '../src/guest/perf/lbr_port.js';
import type { LbrPolicy } from '../src/host/policy/policy.js';
import { PROPERTY_NAMES } from '../src/judge/properties.js';
import { POLICIES } from '../src/host/policy/index.js';
import { kvmOf } from '../src/host/policy/kvm.js';
import { HOST } from '../src/host/observer.js';
import * as perf from '../src/guest/perf/perf_event.js';
import { findCpuModel } from '../src/hw/cpu_models.js';
import { tableLines } from '../src/console/table.js';
import { KIND } from '../src/schedule/table.js';
import type { MachineConfig } from '../src/machine/config.js';
import { type Draw, drawOf } from '../src/schedule/draw.js';
import { HOST_EVENT_PINNED } from '../src/machine/host_perf.js';
import { CostMeter } from '../src/machine/cost_meter.js';
import { ACTION_WORDS, Schedule, step } from '../src/schedule/schedule.js';
import { cacheFolder } from '../src/tree/build.js';
import { imageDriver, treeImage } from '../src/tree/image/image.js';
import { Monitor } from '../src/judge/monitor.js';

const SCHEDULES = 30;
/** Slices of a schedule. The vCPUs take turns. */
const SLICES = 60;
/** Actions of a guest in a slice. */
const DEEDS = 8;
const TASKS = 2;

const RING: number = perf.PERF_SAMPLE_BRANCH_ANY | perf.PERF_SAMPLE_BRANCH_USER;

interface Guest {
  readonly name: string;
  /** branch_sample_type of each task's event; null for a guest without events. */
  readonly type: number | null;
  /** The slice in which the guest closes its events. */
  readonly until: number;
  /** Whether an LBR event of the host itself is pinned to the pCPU. */
  readonly contended: boolean;
}

const GUESTS: readonly Guest[] = [
  { name: 'never uses LBR', type: null, until: SLICES, contended: false },
  { name: 'call stacks all the time', type: perf.CALLSTACK_USER, until: SLICES, contended: false },
  {
    name: 'call stacks at first, then nothing',
    type: perf.CALLSTACK_USER,
    until: 10,
    contended: false,
  },
  { name: 'all branches (ring mode)', type: RING, until: SLICES, contended: false },
  {
    name: 'call stacks, under a host event',
    type: perf.CALLSTACK_USER,
    until: SLICES,
    contended: true,
  },
];

/** One action of a guest. If it is not possible, it is skipped under every policy. */
function deed(schedule: Schedule, draw: Draw, vcpu: number): void {
  switch (draw.below(8)) {
    case 0:
      return pushPmi(schedule, vcpu);
    case 1:
      return schedule.push(KIND.taskSwitch, vcpu, draw.below(TASKS), 0, 0);
    case 2:
      return schedule.push(KIND.ret, vcpu, 1 + draw.below(3), 0, 0);
    case 3:
      return schedule.push(KIND.exit, 0, 0, 0, 0);
    default:
      return schedule.push(KIND.call, vcpu, 1 + draw.below(3), 0, 0);
  }
}

/** An overflow of the event that counts. */
function pushPmi(schedule: Schedule, vcpu: number): void {
  for (let event = 0; event < TASKS; event++) schedule.push(KIND.pmi, vcpu, event, 0, 0);
}

/** The end of a slice. In one of four cases the switch interrupts a task switch of the guest. */
function pushSwitch(schedule: Schedule, draw: Draw, vcpu: number): void {
  const next = 1 - vcpu;
  if (draw.below(4) === 0) {
    schedule.push(KIND.run, 0, next, 1 + draw.below(12), 0);
    for (let task = 0; task < TASKS; task++) schedule.push(KIND.taskSwitch, vcpu, task, 0, 0);
  }
  schedule.push(KIND.run, 0, next, 0, 0);
}

function scheduleOf(guest: Guest, draw: Draw): Schedule {
  const schedule = new Schedule();
  if (guest.contended) schedule.push(KIND.hostEvent, 0, HOST_EVENT_PINNED, 0, 0);
  for (let slice = 0; slice < SLICES; slice++) {
    const vcpu = slice % 2;
    if (guest.contended) schedule.push(KIND.hostWork, 0, 1, 0, 0);
    schedule.push(KIND.resume, vcpu, 0, 0, 0);
    for (let event = 0; event < TASKS; event++) {
      if (slice < 2 && guest.type !== null) schedule.push(KIND.open, vcpu, event, 0, guest.type);
      if (slice >= guest.until) schedule.push(KIND.close, vcpu, event, 0, 0);
    }
    for (let i = 0; i < DEEDS; i++) deed(schedule, draw, vcpu);
    pushSwitch(schedule, draw, vcpu);
  }
  return schedule;
}

/** Judges a machine and counts the host's cost of its guests' LBR. */
class Costs extends CostMeter {
  /** Guest LBR events created on the host's perf. */
  events = 0;
  /** Schedules in which some property broke, apart from its cost. */
  wrong = 0;
  private hostWorks = false;
  private readonly monitor: Monitor;

  constructor(config: MachineConfig) {
    const monitor = new Monitor(config);
    super(config, monitor);
    this.monitor = monitor;
    const { host } = this.machine;
    const create = host.createGuestLbrEvent.bind(host);
    host.createGuestLbrEvent = (vcpu, kind): void => {
      this.events++;
      create(vcpu, kind);
    };
  }

  run(schedule: Schedule): void {
    this.monitor.start(this.machine);
    this.machine.boot();
    for (let i = 0; i < schedule.length; i++) {
      this.hostWorks = schedule.words[i * ACTION_WORDS] === KIND.hostWork;
      step(this.machine, schedule, i);
    }
    const { broken } = this.monitor.verdicts;
    if (broken.some((b, p) => b !== 0 && PROPERTY_NAMES[p] !== 'no-needless-switch')) this.wrong++;
  }

  /** Leaves out the samples that the host takes for itself: no guest causes this cost. */
  override hostAccess(pcpu: number, onBehalf: number, msr: number, write: boolean): void {
    if (onBehalf !== HOST || !this.hostWorks) super.hostAccess(pcpu, onBehalf, msr, write);
  }
}

const HEAD = 'policy reads writes cycles saves restores wipes events exits ofAccesses wrong'.split(
  ' ',
);

/** The KVM of the tree that is asked for. Nobody counts its events. */
async function kvmRow(): Promise<(schedules: readonly Schedule[]) => string[][]> {
  const [, , tree] = process.argv;
  if (tree === undefined) return () => [];
  const image = await treeImage(tree, cacheFolder(), { kvm: true });
  const policy = kvmOf(image.info.version);
  return (schedules) => [
    row(policy, schedules, imageDriver(image)).map((cell, i) =>
      HEAD[i] === 'events' ? '-' : cell,
    ),
  ];
}

function row(policy: LbrPolicy, schedules: readonly Schedule[], driver = PORT): string[] {
  const model = findCpuModel('skylake');
  if (model === undefined) throw new Error('the benchmark names what exists');
  const shape = { vms: 2, vcpus: 1, tasks: TASKS, pcpus: 1 };
  const costs = new Costs({ shape, model, kernel: '6.1', policy, driver });
  for (const schedule of schedules) costs.run(schedule);
  const { vcpuSwitches, guestAccesses, exits, wrong } = costs;
  const each = (n: number, digits: number): string => (n / vcpuSwitches).toFixed(digits);
  return [
    policy.name,
    each(costs.host.reads, 1),
    each(costs.host.writes, 1),
    each(costs.host.cycles, 0),
    each(costs.saves, 2),
    each(costs.restores, 2),
    each(costs.wipes, 2),
    each(costs.events, 2),
    each(exits, 2),
    guestAccesses === 0 ? '-' : `${((100 * exits) / guestAccesses).toFixed(1)}%`,
    `${wrong}/${schedules.length}`,
  ];
}

console.log(`Cost to the host for each time that a vCPU comes to a pCPU: LBR MSRs read and written,
cycles by weights that are orders of magnitude (docs/FIDELITY.md, F90), whole stacks saved,
restored and wiped, guest LBR events created on its perf, exits by LBR accesses of the guest (their
cycles are not counted), and what part of those accesses that is. Wrong: schedules that break a
property, no-needless-switch apart. skylake, Linux 6.1, two VMs of one vCPU on one pCPU.`);
const ofTree = await kvmRow();
GUESTS.forEach((guest, g) => {
  const schedules = Array.from({ length: SCHEDULES }, (_, i) => scheduleOf(guest, drawOf(g, i)));
  console.log(`\n${guest.name}`);
  const rows = [...POLICIES.map((policy) => row(policy, schedules)), ...ofTree(schedules)];
  for (const line of tableLines(HEAD, rows, { numeric: true })) console.log(line);
});
