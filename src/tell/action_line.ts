/** The first line of an action in a timeline: who does it, where, and what it is. */
import { freeEvent } from '../guest/perf/events_syscall.js';
import * as perf from '../guest/perf/perf_event.js';
import type { Action } from '../schedule/actions.js';
import { ACTIONS } from '../schedule/actions.js';
import type { Machine } from '../machine/machine.js';
import { unreachable } from '../hw/assert.js';
import { msrName, valueText } from './msr_name.js';
import { plural } from '../console/text.js';
import { suspendedText } from './watcher.js';

const CALL_KINDS = ['call', 'indirect call', 'zero-length call'];
const JMP_KINDS = ['jump', 'indirect jump'];
const HOST_EVENT_WORDS = [
  "the host's CPU-pinned LBR event",
  "the host's LBR event of this thread",
  "the host's CPU-flexible LBR event",
];
const HOST_OPS = ['on', 'off', 'closed'];

const SAMPLE_TYPES: readonly (readonly [bit: number, name: string])[] = [
  [perf.PERF_SAMPLE_BRANCH_CALL_STACK, 'CALL_STACK'],
  [perf.PERF_SAMPLE_BRANCH_ANY, 'ANY'],
  [perf.PERF_SAMPLE_BRANCH_ANY_CALL, 'ANY_CALL'],
  [perf.PERF_SAMPLE_BRANCH_ANY_RETURN, 'ANY_RETURN'],
  [perf.PERF_SAMPLE_BRANCH_IND_CALL, 'IND_CALL'],
  [perf.PERF_SAMPLE_BRANCH_ABORT_TX, 'ABORT_TX'],
  [perf.PERF_SAMPLE_BRANCH_IN_TX, 'IN_TX'],
  [perf.PERF_SAMPLE_BRANCH_NO_TX, 'NO_TX'],
  [perf.PERF_SAMPLE_BRANCH_COND, 'COND'],
  [perf.PERF_SAMPLE_BRANCH_IND_JUMP, 'IND_JUMP'],
  [perf.PERF_SAMPLE_BRANCH_CALL, 'CALL'],
  [perf.PERF_SAMPLE_BRANCH_NO_FLAGS, 'NO_FLAGS'],
  [perf.PERF_SAMPLE_BRANCH_NO_CYCLES, 'NO_CYCLES'],
  [perf.PERF_SAMPLE_BRANCH_TYPE_SAVE, 'TYPE_SAVE'],
  [perf.PERF_SAMPLE_BRANCH_HW_INDEX, 'HW_INDEX'],
  [perf.PERF_SAMPLE_BRANCH_PRIV_SAVE, 'PRIV_SAVE'],
  [perf.PERF_SAMPLE_BRANCH_USER, 'USER'],
  [perf.PERF_SAMPLE_BRANCH_KERNEL, 'KERNEL'],
  [perf.PERF_SAMPLE_BRANCH_HV, 'HV'],
];

const ATTRS: readonly (readonly [bit: number, name: string])[] = [
  [perf.ATTR_PINNED, 'pinned'],
  [perf.ATTR_INHERIT, 'inherited'],
  [perf.ATTR_DISABLED, 'disabled'],
];

/** To be called before the action is performed. */
export function actionLine(machine: Machine, action: Action): string {
  const { kind, actor } = action;
  if (ACTIONS[kind].actor === 'pcpu') return `p${actor}: ${actionWords(machine, action)}`;
  const vcpu = machine.vcpus[actor];
  if (vcpu === undefined) return `v${actor}: ${kind}`;
  const task = machine.cpu(actor).cpuctx.current;
  const where = vcpu.pcpu < 0 ? 'off' : `p${vcpu.pcpu}`;
  const who = `v${actor} (VM ${vcpu.vm}, task ${task}, ${where})`;
  return `${who}: ${actionWords(machine, action)}`;
}

function actionWords(m: Machine, { kind, actor, args }: Action): string {
  const [a = 0, b = 0, c = 0] = args;
  switch (kind) {
    case 'call':
      return plural(a, CALL_KINDS[b] ?? kind);
    case 'ret':
      return plural(a, 'return');
    case 'jmp':
      return plural(a, JMP_KINDS[b] ?? kind);
    case 'jcc':
      return plural(a, 'taken conditional');
    case 'enter':
      return `enter the kernel by ${a === 0 ? 'syscall' : 'interrupt'}`;
    case 'leave':
      return 'leave the kernel';
    case 'taskSwitch':
    case 'migrateTask':
      return `${kind} ${m.cpu(actor).cpuctx.current} -> ${a}`;
    case 'open':
      return `open event ${freeEvent(m.cpu(actor).kernel)}: ${openWords(a, b, c)}`;
    case 'enable':
    case 'disable':
    case 'close':
      return `${kind} event ${a}`;
    case 'pmi':
      return `PMI of event ${a}${after(b, 'inside its kernel')}`;
    case 'rdmsr':
      return `raw RDMSR ${msrName(m.config.model, a)}`;
    case 'wrmsr':
      return `raw WRMSR ${msrName(m.config.model, a)}, ${valueText(a, b, c)}`;
    case 'resume':
      return `resume ${suspendedText(m, actor)}`;
    case 'run':
      return `switch to v${a}${after(b, 'of the vCPU that runs')}`;
    case 'idle':
      return `switch to idle${after(a, 'of the vCPU that runs')}`;
    case 'exit':
      return 'a VM exit and re-entry';
    case 'hostEvent':
      return `${HOST_EVENT_WORDS[a] ?? 'a host event'}: ${HOST_OPS[b] ?? String(b)}`;
    case 'hostWork':
      return `${plural(a, 'branch')} of host code`;
    case 'cstate':
      return 'deep C-state';
    case 'fork':
    case 'halt':
    case 'kexec':
    case 'boot':
    case 'liveMigrate':
      return kind;
    default:
      return unreachable(kind);
  }
}

function after(n: number, whose: string): string {
  if (n === 0) return '';
  const when = n === 1 ? 'before the next MSR access' : `after ${plural(n - 1, 'MSR access')}`;
  return `, ${when} ${whose}`;
}

function openWords(task: number, attr: number, type: number): string {
  const names = SAMPLE_TYPES.filter(([bit]) => (type & bit) !== 0).map(([, name]) => name);
  const attrs = ATTRS.filter(([bit]) => (attr & bit) !== 0).map(([, name]) => `, ${name}`);
  const whose = task < 0 ? 'of this CPU' : `of task ${task}`;
  return `${whose}, ${names.join('|') || 'no branch type'}${attrs.join('')}`;
}
