/** The LBR registers of a pCPU, beside those that the vCPU would have on a pCPU of its own. */
import type { LbrStack } from '../hw/lbr_stack.js';
import { HOST } from '../host/observer.js';
import type { Machine } from '../machine/machine.js';
import type { Monitor } from '../judge/monitor.js';
import { debugctlBits, selectBrief } from './msr_name.js';
import { branchText, NEUTRAL, stackRecords, type Viewer } from './record_text.js';
import { splitTable } from '../console/table.js';

/** Records of each stack to print, newest first, unless all are. */
const RECORDS_MAX = 6;

/** A column of the table: a stack, and the DEBUGCTL that goes with it, if any. */
interface Column {
  readonly title: string;
  readonly stack: LbrStack;
  readonly debugctl: string;
}

/**
 * Register state as lines.
 *
 * @param pcpu - -1 if the vCPU is on none.
 * @param vcpu - the vCPU whose registers are told, or HOST.
 * @param all - whether all records are told.
 */
export function registerLines(
  machine: Machine,
  monitor: Monitor,
  pcpu: number,
  vcpu: number,
  all: boolean,
): string[] {
  const columns: Column[] = [];
  if (pcpu >= 0) columns.push(pcpuColumn(machine, pcpu, vcpu));
  if (vcpu !== HOST) {
    const { records, msr_passthrough } = machine.vcpus[vcpu];
    if (!msr_passthrough || !records.empty) {
      columns.push({ title: `saved for v${vcpu}`, stack: records, debugctl: '-' });
    }
    const { stack, debugctl } = monitor.reference.of(vcpu);
    columns.push({ title: `reference v${vcpu}`, stack, debugctl: debugctlBits(debugctl) });
  }
  const viewer = vcpu === HOST ? NEUTRAL : { vm: machine.vcpus[vcpu].vm, task: -1 };
  return splitTable(['', ...columns.map(({ title }) => title)], rowsOf(columns, viewer, all));
}

function pcpuColumn(machine: Machine, pcpu: number, vcpu: number): Column {
  const { stack, debugctl } = machine.pcpus[pcpu];
  const loaded = machine.loaded(pcpu);
  const inGuest = loaded !== null && loaded.inGuest;
  const where = inGuest ? `in v${loaded.id}` : 'in the host';
  const traps = vcpu !== HOST && !machine.vcpus[vcpu].msr_passthrough;
  const title = `p${pcpu}, ${where}${traps ? ', intercepted' : ''}`;
  const bits = debugctlBits(debugctl);
  if (loaded === null || inGuest) return { title, stack, debugctl: bits };
  // Outside the guest, DEBUGCTL is the host's, and the VMCS has the guest's.
  const guests = debugctlBits(loaded.vmcs.guestDebugctl);
  return { title, stack, debugctl: `${bits} (v${loaded.id}: ${guests})` };
}

/** Rows of the table: control registers, then records by age, to the last of any stack. */
function rowsOf(columns: readonly Column[], viewer: Viewer, all: boolean): string[][] {
  const hasSelect = columns.some(({ stack }) => stack.model.select !== 'none');
  const rows = [['DEBUGCTL', ...columns.map(({ debugctl }) => debugctl)]];
  if (hasSelect) rows.push(['LBR_SELECT', ...columns.map((c) => selectBrief(c.stack.lbr_select))]);
  rows.push(['LBR_TOS', ...columns.map(({ stack }) => String(stack.tos))]);
  const records = columns.map(({ stack }) => stackRecords(stack));
  const depth = Math.max(
    ...records.map((list) => list.findLastIndex(({ lo, hi }) => (lo | hi) !== 0) + 1),
  );
  const most = all ? depth : Math.min(depth, RECORDS_MAX);
  for (let i = 0; i < most; i++) {
    const cells = records.map((list) => {
      const { slot, lo, hi } = list[i];
      return `${slot}: ${branchText(lo, hi, viewer)}`;
    });
    rows.push([i === 0 ? 'newest' : '', ...cells]);
  }
  if (depth === 0) rows.push(['records', ...columns.map(() => 'none')]);
  if (depth > most) rows.push([`${depth - most} more`, ...columns.map(() => '')]);
  return rows;
}
