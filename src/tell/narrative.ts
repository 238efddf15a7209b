/** Turns a watcher's notes into sentences: one line for each run of accesses of one kind. */
import { BRANCH_NAMES } from '../hw/branch.js';
import type { CpuModel } from '../hw/cpu_models.js';
import { MSR_IA32_DEBUGCTLMSR } from '../hw/msr_index.js';
import { HOST } from '../host/observer.js';
import { MSR_KVM_PV_LBR_CTRL } from '../guest/pv/kvm_para.js';
import type { Machine } from '../machine/machine.js';
import { plural } from '../console/text.js';
import { isFromMsr, isLbrMsr, msrName, msrSlot, plainHex, valueText } from './msr_name.js';
import { branchText, NEUTRAL, registerText, slotRanges, type Viewer } from './record_text.js';
import type { Branch, Entry, GuestAccess, HostAccess, HostStack } from './watcher.js';

type Access = GuestAccess | HostAccess;

/** Records that a line names at most, unless all is told. */
const RECORDS_MAX = 3;

/** What is told of an action, and how much. */
export interface Telling {
  /**
   * The subject of the action. With `msr` every access is told, those of the counters' MSRs
   * included; with `branch` every branch, recorded or not.
   */
  readonly about: 'msr' | 'branch' | 'anything';
  /** Every access and every branch, each access by itself, with all records. */
  readonly full: boolean;
}

/** Lines for the events of one action, in their order. */
export function narrate(
  machine: Machine,
  entries: readonly Entry[],
  { about, full }: Telling,
): string[] {
  const { model } = machine.config;
  const told = entries.filter(
    (entry) =>
      full ||
      (entry.kind === 'branch'
        ? about === 'branch' || entry.effect === 'pushed' || entry.effect === 'popped'
        : entry.kind !== 'guest' || about === 'msr' || tells(model, entry)),
  );
  const lines: string[] = [];
  for (let i = 0; i < told.length;) {
    let end = i + 1;
    while (end < told.length && groupOf(told[end]) === groupOf(told[i])) end++;
    const line = groupText(machine, told.slice(i, end), full);
    if (line !== '') lines.push(line);
    i = end;
  }
  return withRepeats(lines);
}

/** Whether an access is told. Accesses to the counters' MSRs and reads of DEBUGCTL are not. */
function tells(model: CpuModel, entry: GuestAccess): boolean {
  if (entry.fault || entry.reference !== null) return true;
  if (isLbrMsr(model, entry.msr)) return true;
  return entry.write && (isDebugctl(entry) || entry.msr === MSR_KVM_PV_LBR_CTRL);
}

function isDebugctl(access: Access): boolean {
  return access.msr === MSR_IA32_DEBUGCTLMSR;
}

/** Neighbours with the same key share a line. `withRepeats` joins equal remarks instead. */
function groupOf(entry: Entry): string | Entry {
  switch (entry.kind) {
    case 'guest':
      return entry.fault ? entry : `guest ${entry.write}`;
    case 'host':
      return `host ${entry.pcpu} ${entry.onBehalf} ${entry.write}`;
    case 'branch':
      return `branch ${entry.effect}`;
    case 'switch':
      return 'switch';
    case 'stack':
    case 'text':
      return entry;
  }
}

function groupText(machine: Machine, group: readonly Entry[], full: boolean): string {
  const [first] = group;
  switch (first.kind) {
    case 'text':
      return first.text;
    case 'switch':
      return group.map((entry) => (entry.kind === 'switch' ? entry.text : '')).join('; ');
    case 'stack':
      return stackText(machine, first, full);
    case 'branch':
      return branchesText(group.filter((entry) => entry.kind === 'branch'));
    case 'guest':
      return guestText(
        machine,
        group.filter((entry) => entry.kind === 'guest'),
        full,
      );
    case 'host':
      return hostText(
        machine,
        group.filter((entry) => entry.kind === 'host'),
        full,
      );
  }
}

function branchesText(group: readonly Branch[]): string {
  const [first] = group;
  const last = group[group.length - 1];
  const name = `${BRANCH_NAMES[first.branch]}#${first.seq}`;
  const names = group.length === 1 ? name : `${name}..#${last.seq}`;
  const { tos, effect } = first;
  switch (effect) {
    case 'pushed':
      return `hardware records ${names} (LBR_TOS was ${tos})`;
    case 'popped':
      return `${names} ${group.length === 1 ? 'pops' : 'pop'} from slot ${tos} on`;
    case 'filtered':
      return `not recorded: LBR_SELECT keeps ${names} out`;
    case 'off':
      return `${names} not recorded: LBR is off`;
  }
}

function guestText(machine: Machine, group: readonly GuestAccess[], full: boolean): string {
  const [first] = group;
  const { model } = machine.config;
  if (first.fault) {
    const value = first.write ? `=${plainHex(first.eax, first.edx)}` : '';
    const access = first.write ? 'WRMSR' : 'RDMSR';
    return `${access} ${msrName(model, first.msr)}${value} raises #GP`;
  }
  const viewer = { vm: machine.vcpus[first.vcpu].vm, task: -1 };
  const told = parts(model, group, viewer, full).join('; ');
  const text = `${first.write ? 'writes' : 'reads'} ${told}`;
  const wrong = group.find((access) => access.reference !== null);
  if (wrong === undefined || wrong.reference === null) return text;
  const { eax, edx } = wrong.reference;
  const name = msrName(model, wrong.msr);
  return `${text} [reference: ${name}=${oneValue(model, wrong.msr, eax, edx, viewer)}]`;
}

/** Single accesses come from the host's perf, or from an intercepted access that KVM passes on. */
function hostText(machine: Machine, group: readonly HostAccess[], full: boolean): string {
  const [{ pcpu, onBehalf, write }] = group;
  const { model } = machine.config;
  const { who, whom, viewer } = hostWords(machine, onBehalf);
  const what = parts(model, group, viewer, full).join('; ');
  return `${who} ${write ? 'writes' : 'reads'} ${what} on p${pcpu}${whom}`;
}

function stackText(machine: Machine, entry: HostStack, full: boolean): string {
  const { pcpu, onBehalf, accesses, write, records } = entry;
  const { who, whom, viewer } = hostWords(machine, onBehalf);
  const verb = write ? 'writes' : 'reads';
  const names = records.map(({ lo, hi }) => ({ eax: lo, edx: hi }));
  const what = `${plural(accesses, 'LBR MSR')} of p${pcpu}${whom}`;
  return `${who} ${verb} all ${what}: ${listed(names, viewer, full)}`;
}

/** Who accesses the registers, for which vCPU, and who looks at the records. */
function hostWords(
  machine: Machine,
  onBehalf: number,
): { readonly who: string; readonly whom: string; readonly viewer: Viewer } {
  if (onBehalf === HOST) return { who: 'host perf', whom: '', viewer: NEUTRAL };
  const viewer = { vm: machine.vcpus[onBehalf].vm, task: -1 };
  return { who: 'policy', whom: ` for v${onBehalf}`, viewer };
}

/** The parts of a run of accesses: record registers in one part, each other register in its own. */
function parts(model: CpuModel, group: readonly Access[], viewer: Viewer, full: boolean): string[] {
  if (full) return group.map((access) => accessText(model, access, viewer));
  const pieces: string[] = [];
  for (let i = 0; i < group.length;) {
    let end = i;
    while (end < group.length && msrSlot(model, group[end].msr) >= 0) end++;
    if (end === i) {
      pieces.push(accessText(model, group[i], viewer));
      i++;
    } else {
      pieces.push(recordsText(model, group.slice(i, end), viewer));
      i = end;
    }
  }
  return pieces;
}

/** Records whose FROM register was accessed, in the order of the accesses. */
function recordsOf(model: CpuModel, group: readonly Access[]): Access[] {
  return group.filter(({ msr }) => isFromMsr(model, msr));
}

function recordsText(model: CpuModel, group: readonly Access[], viewer: Viewer): string {
  const froms = recordsOf(model, group);
  const zeros = group.every(({ eax, edx }) => (eax | edx) === 0);
  if (group.length < 3 || froms.length === 0) {
    const first = accessText(model, group[0], viewer);
    return group.length === 1 ? first : `${first}, ${plural(group.length - 1, 'more MSR')}`;
  }
  const slots = slotRanges(froms.map(({ msr }) => msrSlot(model, msr)));
  if (zeros) return `slots ${slots}: all 0`;
  return `slots ${slots}: ${listed(froms, viewer, false)}`;
}

/** `2 records (task 0 call#2, task 0 call#1)`, with the records that fit into a line. */
function listed(
  froms: readonly Pick<Access, 'eax' | 'edx'>[],
  viewer: Viewer,
  all: boolean,
): string {
  const records = froms.filter(({ eax, edx }) => (eax | edx) !== 0);
  if (records.length === 0) return 'no records';
  const most = all ? records.length : RECORDS_MAX;
  const names = records.slice(0, most).map(({ eax, edx }) => branchText(eax, edx, viewer));
  if (records.length > most) names.push('...');
  return `${plural(records.length, 'record')} (${names.join(', ')})`;
}

/** `FROM_1=task 0 call#3`. */
function accessText(model: CpuModel, { msr, eax, edx }: Access, viewer: Viewer): string {
  return `${msrName(model, msr)}=${oneValue(model, msr, eax, edx, viewer)}`;
}

function oneValue(model: CpuModel, msr: number, eax: number, edx: number, viewer: Viewer): string {
  return msrSlot(model, msr) >= 0
    ? registerText(model, msr, eax, edx, viewer)
    : valueText(msr, eax, edx);
}

/** Joins n equal lines in a row into one with `(n times)`. */
function withRepeats(lines: readonly string[]): string[] {
  const out: string[] = [];
  for (let i = 0; i < lines.length;) {
    let end = i + 1;
    while (lines[end] === lines[i]) end++;
    out.push(end - i === 1 ? lines[i] : `${lines[i]} (${end - i} times)`);
    i = end;
  }
  return out;
}
