/** The LBR registers of a pCPU beside those that the vCPU would have on a pCPU of its own. */
import type { LbrStack } from '../hw/lbr_stack.js';
import { HOST } from '../host/observer.js';
import type { Machine } from '../sim/machine.js';
import type { Monitor } from '../verify/monitor.js';
import { debugctlText, selectBrief } from './msr_name.js';
import type { Viewer } from './record_text.js';
import { branchText, NEUTRAL, stackRecords } from './record_text.js';
import { tableLines } from './table.js';

/** Records of each stack that are printed, newest first. */
const RECORDS_MAX = 6;

/** One column: a stack and what is to be said beside it. */
interface Column {
  readonly title: string;
  readonly stack: LbrStack;
  /** DEBUGCTL as text; a copy in memory has none. */
  readonly debugctl: string;
  readonly viewer: Viewer;
}

/**
 * Register state as lines.
 *
 * @param pcpu - -1 when the vCPU is on none.
 * @param vcpu - the vCPU that it is about, or HOST.
 */
export function registerLines(
  machine: Machine,
  monitor: Monitor,
  pcpu: number,
  vcpu: number,
): string[] {
  const columns: Column[] = [];
  const viewer = vcpu === HOST ? NEUTRAL : { vm: machine.vcpus[vcpu].vm, task: -1 };
  if (pcpu >= 0) columns.push(pcpuColumn(machine, pcpu, vcpu, viewer));
  if (vcpu !== HOST) {
    const { records, vmcs } = machine.vcpus[vcpu];
    const debugctl = `${debugctlText(vmcs.guest_debugctl)} in VMCS`;
    if (pcpu < 0 || !records.empty) {
      columns.push({ title: `host's copy of v${vcpu}`, stack: records, debugctl, viewer });
    }
    const reference = monitor.reference(vcpu);
    columns.push({
      title: `reference v${vcpu}`,
      stack: reference.stack,
      debugctl: debugctlText(reference.debugctl),
      viewer,
    });
  }
  return tableLines(['', ...columns.map((column) => column.title)], rowsOf(columns));
}

function pcpuColumn(machine: Machine, pcpu: number, vcpu: number, viewer: Viewer): Column {
  const cpu = machine.pcpus[pcpu];
  const loaded = machine.loaded(pcpu);
  const inGuest = loaded !== null && loaded.in_guest;
  const whose = inGuest ? `in v${loaded.id}` : 'in the host';
  const waits = loaded !== null && !inGuest;
  const guests = waits ? `; v${loaded.id}'s ${debugctlText(loaded.vmcs.guest_debugctl)}` : '';
  const traps = vcpu !== HOST && !machine.vcpus[vcpu].msr_passthrough;
  return {
    title: `p${pcpu}, ${whose}${traps ? ', intercepted' : ''}`,
    stack: cpu.stack,
    debugctl: `${debugctlText(cpu.debugctl)}${guests}`,
    viewer,
  };
}

/** Rows of the table: control registers, then records by age, as long as some stack has one. */
function rowsOf(columns: readonly Column[]): string[][] {
  const hasSelect = columns.some(({ stack }) => stack.model.select !== 'none');
  const rows = [['DEBUGCTL', ...columns.map((column) => column.debugctl)]];
  if (hasSelect) rows.push(['LBR_SELECT', ...columns.map((c) => selectBrief(c.stack.lbr_select))]);
  rows.push(['LBR_TOS', ...columns.map((column) => String(column.stack.tos))]);
  const records = columns.map((column) => stackRecords(column.stack));
  const depth = Math.max(
    ...records.map((list) => list.findLastIndex(({ lo, hi }) => (lo | hi) !== 0) + 1),
  );
  for (let i = 0; i < Math.min(depth, RECORDS_MAX); i++) {
    const cells = records.map((list, c) => {
      const { slot, lo, hi } = list[i];
      return `${slot}: ${branchText(lo, hi, columns[c].viewer)}`;
    });
    rows.push([i === 0 ? 'newest' : '', ...cells]);
  }
  if (depth === 0) rows.push(['records', ...columns.map(() => 'none')]);
  if (depth > RECORDS_MAX) rows.push([`${depth - RECORDS_MAX} more`, ...columns.map(() => '')]);
  return rows;
}
