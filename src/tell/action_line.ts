/** The first line of an action in a timeline: who acts, where, and what the action is. */
import { CGROUPS } from '../guest/perf/perf_event.js';
import { freeEvent } from '../guest/perf/events_syscall.js';
import type { Machine } from '../machine/machine.js';
import { plural } from '../console/text.js';
import { ATTRS, SAMPLE_TYPES } from '../schedule/actions/events.js';
import type { BitNames } from '../schedule/param.js';
import { type Action, type ActionName, ACTIONS } from '../schedule/table.js';
import { msrName, valueText } from './msr_name.js';
import { suspendedText } from './watcher.js';

const CALLS = ['call', 'indirect call', 'zero-length call'];
const JUMPS = ['jump', 'indirect jump'];
const HOST_EVENTS = [
  "the host's CPU-pinned LBR event",
  "the host's LBR event of this thread",
  "the host's CPU-flexible LBR event",
];
const INTERRUPTED = ['fill the PMU, or free it', "switch the host's CPU-pinned LBR event"];
const HOST_OPS = ['on', 'off', 'closed'];

/** Call before the action is performed. */
export function actionLine(machine: Machine, { kind, actor, args }: Action): string {
  const [a = 0, b = 0, c = 0] = args;
  if (ACTIONS[kind].actor === 'pcpu') {
    return `p${actor}: ${SENTENCES[kind](machine, actor, a, b, c)}`;
  }
  const vcpu = machine.vcpus[actor];
  if (vcpu === undefined) return `v${actor}: ${kind}`;
  const task = machine.cpu(actor).cpuctx.current;
  const where = vcpu.pcpu < 0 ? 'off' : `p${vcpu.pcpu}`;
  const who = `v${actor} (VM ${vcpu.vm}, task ${task}, ${where})`;
  return `${who}: ${SENTENCES[kind](machine, actor, a, b, c)}`;
}

type Sentence = (m: Machine, actor: number, a: number, b: number, c: number) => string;

const switchTask =
  (name: string): Sentence =>
  (m, v, a) =>
    `${name} ${m.cpu(v).cpuctx.current} -> ${a}`;
const ofEvent =
  (verb: string): Sentence =>
  (_m, _v, a) =>
    `${verb} event ${a}`;

const SENTENCES: Readonly<Record<ActionName, Sentence>> = {
  call: (_m, _v, a, b) => plural(a, CALLS[b] ?? 'call'),
  ret: (_m, _v, a) => plural(a, 'return'),
  jmp: (_m, _v, a, b) => plural(a, JUMPS[b] ?? 'jmp'),
  jcc: (_m, _v, a) => plural(a, 'taken conditional'),
  enter: (_m, _v, a) => `enter the kernel by ${a === 0 ? 'syscall' : 'interrupt'}`,
  leave: () => 'leave the kernel',
  taskSwitch: switchTask('taskSwitch'),
  migrateTask: switchTask('migrateTask'),
  fork: () => 'fork',
  open: (m, v, a, b, c) => `open event ${freeEvent(m.cpu(v).kernel)}: ${openWords(a, b, c)}`,
  enable: ofEvent('enable'),
  disable: ofEvent('disable'),
  close: ofEvent('close'),
  pmi: (_m, _v, a, b) => `PMI of event ${a}${after(b, 'inside its kernel')}`,
  rdmsr: (m, _v, a) => `raw RDMSR ${msrName(m.config.model, a)}`,
  wrmsr: (m, _v, a, b, c) => `raw WRMSR ${msrName(m.config.model, a)}, ${valueText(a, b, c)}`,
  halt: () => 'halt',
  kexec: () => 'kexec',
  boot: () => 'boot',
  resume: (m, v) => `resume ${suspendedText(m, v)}`,
  run: (_m, _p, a, b) => `switch to v${a}${after(b, 'of the vCPU that runs')}`,
  idle: (_m, _p, a) => `switch to idle${after(a, 'of the vCPU that runs')}`,
  exit: () => 'a VM exit and re-entry',
  hostEvent: (_m, _p, a, b) => `${HOST_EVENTS[a] ?? 'a host event'}: ${HOST_OPS[b] ?? String(b)}`,
  hostWork: (_m, _p, a) => `${plural(a, 'branch')} of host code`,
  cstate: () => 'deep C-state',
  liveMigrate: () => 'liveMigrate',
  taskExit: (m, v, a) => `task ${m.cpu(v).cpuctx.current} exits; task ${a} runs next`,
  exec: () => 'execve',
  tick: () => 'tick of the timer',
  rotate: () => 'rotation of events',
  branchSnapshot: () => 'bpf_get_branch_snapshot()',
  userspace: () => 'its thread returns from KVM_RUN',
  arrive: (_m, _p, a) => `switch to the thread of v${a}, which does not enter its guest yet`,
  hostOverflow: () => "a counter of the host's own overflows while the guest runs",
  watchdog: () => "the host's NMI watchdog starts, or ends",
  pt: () => 'a use of Intel PT begins on the host, or ends',
  takeLbr: (_m, _v, a) =>
    `its machine monitor takes LBR away by ${a === 1 ? 'CPUID' : 'PERF_CAPABILITIES'}`,
  hostCounters: (_m, _p, a) =>
    a === 0
      ? 'the pinned counters of the host are closed'
      : 'pinned counters of the host fill the PMU',
  interrupt: (_m, _p, a, b) =>
    `an interrupt is to ${INTERRUPTED[a] ?? String(a)}, inside KVM after ${b} places where it can`,
  freezeOnSmi: () => 'freeze_on_smi of the host is written',
  moveTask: (m, v, a) => `task ${m.cpu(v).cpuctx.current} moves to cgroup ${CGROUPS[a]}`,
};

function after(n: number, whose: string): string {
  if (n === 0) return '';
  const when = n === 1 ? 'before the next MSR access' : `after ${plural(n - 1, 'MSR access')}`;
  return `, ${when} ${whose}`;
}

function namesOf(bits: BitNames, value: number): string[] {
  return bits.filter(([bit]) => (value & bit) !== 0).map(([, name]) => name);
}

function openWords(task: number, attr: number, type: number): string {
  const attrs = namesOf(ATTRS, attr).map((name) => `, ${name}`);
  const whose = task < 0 ? 'of this CPU' : `of task ${task}`;
  return `${whose}, ${namesOf(SAMPLE_TYPES, type).join('|') || 'no branch type'}${attrs.join('')}`;
}
