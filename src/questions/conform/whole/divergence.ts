/** The first difference between the port and a kernel's whole path, in words. */
import { CALL_NAMES } from '../../../machine/guest_call.js';
import { HOST } from '../../../host/observer.js';
import type { Machine } from '../../../machine/machine.js';
import type { CpuModel } from '../../../hw/cpu_models.js';
import { hex } from '../../../hw/u64.js';
import { msrName, plainHex } from '../../../tell/msr_name.js';
import type { Side } from './side.js';
import * as rows from './trace.js';
import type { Trace } from './trace.js';

/** The port's value and the C code's value. */
export interface Both<T> {
  readonly port: T;
  readonly kernel: T;
}

/** A guest's access of an MSR. */
export interface Access {
  readonly vcpu: number;
  readonly write: boolean;
  readonly msr: number;
  readonly eax: number;
  readonly edx: number;
  readonly fault: boolean;
}

/** What differs: an access, another thing that the guests did, or what they are in afterwards. */
export type DivergesIn =
  | 'access'
  | 'sample'
  | 'open'
  | 'warning'
  /** What the host's perf or KVM does with an MSR. */
  | 'host'
  | 'vcpu'
  | 'event'
  | 'cpu'
  | 'task'
  | 'verdict'
  /** Only one of the two can perform the action. */
  | 'action'
  /** The C code, or what runs it, threw an exception. */
  | 'crash';

export interface Divergence {
  /** Index of the action; -1 for the boot. */
  readonly action: number;
  readonly in: DivergesIn;
  /** The kernel function in which they part, and its vCPU; empty if it is none. */
  readonly where: string;
  /** Index of the first access that differs, or -1. */
  readonly access: number;
  /** What differs, and on both sides its value. */
  readonly what: string;
  readonly value: Both<string>;
  /** All accesses of the action. */
  readonly accesses: Both<readonly Access[]>;
}

const NO_ACCESSES: Divergence['accesses'] = { port: [], kernel: [] };
const NOTHING = 'nothing more';

/** Words of a row of a trace that exist, else null. */
function rowAt(trace: Trace, at: number): Int32Array | null {
  return at < trace.length ? trace.words.subarray(at, at + rows.ROW_WORDS) : null;
}

/** Whether a row has the number of a vCPU. */
function ofGuest(kind: number): boolean {
  return kind < rows.ROW_WARNING;
}

function isAccess(kind: number): boolean {
  return kind === rows.ROW_READ || kind === rows.ROW_WRITE || kind === rows.ROW_FAULT;
}

function accessesOf({ words, length }: Trace, to: number = length): Access[] {
  const found: Access[] = [];
  for (let at = 0; at < to; at += rows.ROW_WORDS) {
    const [kind, vcpu, msr, eax, edx, write] = words.subarray(at, at + rows.ROW_WORDS);
    if (!isAccess(kind)) continue;
    const fault = kind === rows.ROW_FAULT;
    found.push({
      vcpu,
      msr,
      eax,
      edx,
      fault,
      write: fault ? write !== 0 : kind === rows.ROW_WRITE,
    });
  }
  return found;
}

const IN: Readonly<Record<number, readonly [DivergesIn, what: string]>> = {
  [rows.ROW_READ]: ['access', 'an access'],
  [rows.ROW_WRITE]: ['access', 'an access'],
  [rows.ROW_FAULT]: ['access', 'an access'],
  [rows.ROW_SAMPLE]: ['sample', 'a sample'],
  [rows.ROW_RECORD]: ['sample', 'a record of a sample'],
  [rows.ROW_OPENED]: ['open', 'perf_event_open()'],
  [rows.ROW_WARNING]: ['warning', 'a WARN_ON'],
  [rows.ROW_HOST]: ['host', 'an access of the host'],
  [rows.ROW_HOST_FAULT]: ['host', 'an access of the host'],
};

function rowText(model: CpuModel, row: Int32Array | null, { warnings }: Trace): string {
  if (row === null) return NOTHING;
  const [kind, whose, a, b, c, d, e] = row;
  switch (kind) {
    case rows.ROW_READ:
      return `v${whose}: RDMSR ${msrName(model, a)} reads ${plainHex(b, c)}`;
    case rows.ROW_WRITE:
      return `v${whose}: WRMSR ${msrName(model, a)} writes ${plainHex(b, c)}`;
    case rows.ROW_FAULT:
      return `v${whose}: ${d === 0 ? 'RDMSR' : 'WRMSR'} ${msrName(model, a)} faults`;
    case rows.ROW_SAMPLE: {
      const index = c < -1 ? '' : `, hw_idx ${c}`;
      return `v${whose}: a sample of event ${a} with ${b} records${index}`;
    }
    case rows.ROW_RECORD:
      return `v${whose}: ${plainHex(a, b)} -> ${plainHex(c, d)}, flags ${hex(e)}`;
    case rows.ROW_OPENED:
      return `v${whose}: type ${hex(a)} returns ${b}`;
    case rows.ROW_HOST: {
      const by = b === HOST ? 'perf' : `KVM for v${b}`;
      return `p${whose}: ${by}: ${c === 0 ? 'RDMSR' : 'WRMSR'} ${msrName(model, a)}`;
    }
    case rows.ROW_HOST_FAULT:
      return `p${whose}: ${b === 0 ? 'RDMSR' : 'WRMSR'} ${msrName(model, a)} faults`;
    default:
      return `VM ${whose}: WARNING at ${warnings[b]}:${a}`;
  }
}

/** The function of a guest's kernel that ran last on a vCPU. */
function functionOn(machine: Machine, vcpu: number): string {
  const name = CALL_NAMES[machine.runningCall(vcpu)];
  return name === '' ? '' : `${name}() on v${vcpu}`;
}

/**
 * Tells what differs after an action.
 *
 * @param row - word of the first row of the traces that differs, or -1.
 * @param word - index of the first word of the states that differs, if no row does.
 */
export function divergenceOf(
  port: Side,
  kernel: Side,
  action: number,
  row: number,
  word: number,
): Divergence {
  const accesses = { port: accessesOf(port.trace), kernel: accessesOf(kernel.trace) };
  if (row < 0) {
    const { in: group, name } = port.state.name(word);
    const value = { port: `${port.state.words[word]}`, kernel: `${kernel.state.words[word]}` };
    return { action, in: group, where: '', access: -1, what: name, value, accesses };
  }
  const { model } = port.machine.config;
  const [a, b] = [rowAt(port.trace, row), rowAt(kernel.trace, row)];
  // Of an access and something else, the access is missing on the other side or comes too early.
  const kinds = [a, b].flatMap((one) => (one === null ? [] : [one[0]]));
  const [group, what] = IN[kinds.find(isAccess) ?? kinds[0]];
  const ofVcpu = [a, b].find((one) => one !== null && ofGuest(one[0]))?.[1];
  return {
    action,
    in: group,
    where: ofVcpu === undefined ? '' : functionOn(kernel.machine, ofVcpu),
    access: group === 'access' ? accessesOf(port.trace, row).length : -1,
    what,
    value: { port: rowText(model, a, port.trace), kernel: rowText(model, b, kernel.trace) },
    accesses,
  };
}

function possibleText(possible: boolean): string {
  return possible ? 'possible' : 'not possible';
}

/** An action that is possible on one machine alone. */
export function performedByOne(action: number, byPort: boolean): Divergence {
  const value = { port: possibleText(byPort), kernel: possibleText(!byPort) };
  const nowhere = { where: '', access: -1, accesses: NO_ACCESSES };
  return { action, in: 'action', ...nowhere, what: 'whether the action is possible', value };
}

export function crashed(port: Side, action: number, error: unknown): Divergence {
  const value = { port: 'none', kernel: String(error) };
  const accesses = { port: accessesOf(port.trace), kernel: [] };
  return { action, in: 'crash', where: '', access: -1, what: 'an exception', value, accesses };
}
