/** The guests' side of a selftest: a straight line of accesses and branches for each vCPU. */
import * as branch from '../../../hw/branch.js';
import type { CpuModel } from '../../../hw/cpu_models.js';
import { KIND_FROM, KIND_INFO, KIND_NONE, KIND_TO, lbrMap } from '../../../hw/lbr_map.js';
import * as msrs from '../../../hw/msr_index.js';
import { msrSlot, plainHex } from '../../../tell/msr_name.js';
import type { Access, GuestItem, Run, Stop, Value } from './run.js';

const MSR_NAMES: ReadonlyMap<number, string> = new Map([
  [msrs.MSR_IA32_DEBUGCTLMSR, 'MSR_IA32_DEBUGCTLMSR'],
  [msrs.MSR_IA32_PERF_CAPABILITIES, 'MSR_IA32_PERF_CAPABILITIES'],
  [msrs.MSR_CORE_PERF_GLOBAL_STATUS, 'MSR_CORE_PERF_GLOBAL_STATUS'],
  [msrs.MSR_CORE_PERF_GLOBAL_CTRL, 'MSR_CORE_PERF_GLOBAL_CTRL'],
  [msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL, 'MSR_CORE_PERF_GLOBAL_OVF_CTRL'],
  [msrs.MSR_LBR_SELECT, 'MSR_LBR_SELECT'],
  [msrs.MSR_LBR_TOS, 'MSR_LBR_TOS'],
]);

/** What makes a branch of each kind, by BRANCH_*; every far branch is made by the last one. */
const BRANCHES: readonly string[] = [
  'JCC',
  'CALL',
  'CALL_INDIRECT',
  'RET',
  'JMP_INDIRECT',
  'JMP',
  'CALL_NEXT',
  'FAR',
];

const STOPS: Readonly<Record<Stop['how'], string>> = {
  switch: 'SWITCH',
  hold: 'HOLD',
  leave: 'LEAVE',
};

/** A statement; neighbours with the same key share a line. */
interface Statement {
  readonly text: string;
  readonly key: string;
}

/** On which CPU, and in which VM. */
interface Place {
  readonly model: CpuModel;
  readonly vm: number;
}

/** Columns of a line of statements, besides its tab. */
const COLUMNS = 92;

function msrText(model: CpuModel, msr: number): string {
  switch (lbrMap(model).kind(msr)) {
    case KIND_FROM:
      return `FROM(${msr - model.lbr_from})`;
    case KIND_TO:
      return `TO(${msr - model.lbr_to})`;
    case KIND_INFO:
      return `INFO(${msr - model.lbr_info})`;
    default:
      return MSR_NAMES.get(msr) ?? plainHex(msr, 0);
  }
}

/** Whether a register holds an address of a branch, and bits that tell of something else. */
function isAddress(model: CpuModel, msr: number): boolean {
  const kind = lbrMap(model).kind(msr);
  return kind === KIND_FROM || kind === KIND_TO;
}

/** A label for a branch of a VM. */
function branchName(vm: number, seq: number): string {
  return `vm${vm}_b${seq}`;
}

function valueText({ model, vm }: Place, msr: number, value: Value): string {
  const kind = lbrMap(model).kind(msr);
  if (value.branch !== null) {
    return `${branchName(vm, value.branch)}_${kind === KIND_FROM ? 'from' : 'to'}`;
  }
  const { eax, edx } = value;
  if ((eax | edx) === 0) return '0';
  const hex = `${plainHex(eax, edx)}${edx === 0 ? '' : 'ull'}`;
  // What perf asks of the counters' registers, as far as the vCPU has the counters.
  const counters = kind === KIND_NONE && msr !== msrs.MSR_IA32_DEBUGCTLMSR;
  return counters ? `${hex} & counters` : hex;
}

function accessText(place: Place, { write, msr, value, faults }: Access): string {
  const { model } = place;
  const name = msrText(model, msr);
  if (value === null) return `READ_ANY(${name});`;
  const text = valueText(place, msr, value);
  if (write) return `${faults ? 'WRITE_GP' : 'WRITE'}(${name}, ${text});`;
  const how = isAddress(model, msr) && text !== '0' ? 'READ_ADDRESS' : 'READ';
  return `${how}(${name}, ${text});`;
}

function statement(place: Place, item: GuestItem, i: number): Statement {
  const alone = String(i);
  switch (item.kind) {
    case 'access': {
      const slot = msrSlot(place.model, item.msr);
      const key = slot < 0 ? alone : `${item.write ? 'write' : 'read'} ${slot}`;
      return { text: accessText(place, item), key };
    }
    case 'branch': {
      const name = BRANCHES[Math.min(item.branch, branch.BRANCH_SYSCALL)];
      return { text: `${name}(${branchName(place.vm, item.seq)});`, key: 'branch' };
    }
    case 'stop':
      return { text: `${STOPS[item.how]}(${item.id});`, key: alone };
    case 'exit':
      return { text: 'EXIT();', key: alone };
    case 'note':
      return { text: `/* ${item.text} */`, key: alone };
  }
}

function linesOf(place: Place, items: readonly GuestItem[]): string[] {
  const lines: string[] = [];
  let last = '';
  for (const [i, item] of items.entries()) {
    const { text, key } = statement(place, item, i);
    const joined = `${lines.at(-1)} ${text}`;
    if (key === last && joined.length <= COLUMNS) lines[lines.length - 1] = joined;
    else lines.push(text);
    last = key;
  }
  return lines.map((line) => `\t${line}`);
}

/** Where each branch of a guest is, and where it goes. */
function labelsText(items: readonly GuestItem[], vm: number): string[] {
  return items.flatMap((item) => {
    if (item.kind !== 'branch') return [];
    const name = branchName(vm, item.seq);
    return [`extern const char ${name}_from[], ${name}_to[];`];
  });
}

function codeText(place: Place, items: readonly GuestItem[], vcpu: number): string[] {
  const accesses = items.filter(({ kind }) => kind === 'access').length;
  const lines = linesOf(place, items);
  return [
    '',
    `static struct access v${vcpu}_log[${accesses}];`,
    '',
    `static GUEST void v${vcpu}_code(void)`,
    '{',
    `\tstruct access *at = v${vcpu}_log;`,
    ...(lines.length === 0 ? [] : ['', ...lines]),
    '',
    `\tcheck(v${vcpu}_log, at);`,
    '}',
  ];
}

/** The code of every vCPU, each with the log of its accesses. */
export function guestsText({ replay, guests }: Run): string[] {
  const { model, shape } = replay.config;
  const vmOf = (vcpu: number): number => Math.trunc(vcpu / shape.vcpus);
  const labels = guests.flatMap((items, vcpu) => labelsText(items, vmOf(vcpu)));
  const codes = guests.flatMap((items, vcpu) => codeText({ model, vm: vmOf(vcpu) }, items, vcpu));
  return [...(labels.length === 0 ? [] : ['', ...labels]), ...codes];
}
