/** The stacks of a step, each beside the one that a guest would have on a pCPU of its own. */
import { plural } from '../../console/text.js';
import { selectBrief } from '../msr_name.js';
import type { PcpuState, StoryState, VcpuState } from './state.js';
import type { StoryRecord, StoryStack } from './stacks.js';

/** A row of a panel: a register by its name, or a record by its slot. */
export interface PanelRow {
  readonly name: string;
  /** A record, a register's value in words, or null for an empty record. */
  readonly here: StoryRecord | string | null;
  /** The same on the reference; undefined where there is none to compare with. */
  readonly reference: StoryRecord | string | null | undefined;
  /** Whether a record is not the reference's. */
  readonly wrong: boolean;
}

/** A stack, and what should be in it. */
export interface Panel {
  /** `v0 on p0`, `p1`, `VM 0 task 1`. */
  readonly title: string;
  /** Whose copy this is, and what is true of who it belongs to. */
  readonly notes: readonly string[];
  /** Heads of the two columns; the second is empty where there is no reference. */
  readonly heads: readonly [here: string, reference: string];
  readonly rows: readonly PanelRow[];
}

const HOLDERS = {
  registers: 'registers',
  KVM: "KVM's copy",
  perf: "host perf's copy",
  nobody: 'no copy',
} as const;

/** The panels of a step: those that would show no record are left out. */
export function panelsOf(state: StoryState, hasSelect: boolean): Panel[] {
  const free = state.pcpus.filter((pcpu) => !isGuests(state, pcpu));
  const shown = state.vcpus.filter(
    ({ reference, holder, wrong, debugctl, referenceDebugctl, vcpu }) =>
      reference.records.length > 0 ||
      wrong.length > 0 ||
      (heldBy(state, vcpu)?.records.length ?? 0) > 0 ||
      (holder === 'registers' && (debugctl !== '0' || referenceDebugctl !== '0')),
  );
  return [
    ...free
      .filter(({ stack, debugctl }) => stack.records.length > 0 || debugctl !== '0')
      .map((pcpu) => pcpuPanel(pcpu, hasSelect)),
    ...shown.map((vcpu) => vcpuPanel(state, vcpu, hasSelect)),
    ...state.tasks.flatMap(({ vm, task, kept }) =>
      kept === null || kept.records.length === 0 ? [] : [taskPanel(vm, task, kept)],
    ),
  ];
}

/** Whether what is in the registers of a pCPU is its guest's. */
function isGuests({ vcpus }: StoryState, { vcpu }: PcpuState): boolean {
  return vcpu !== null && vcpus[vcpu].holder === 'registers';
}

/** The stack in which a vCPU's records are; null if they are in none. */
function heldBy({ pcpus, vcpus }: StoryState, vcpu: number): StoryStack | null {
  const { holder, pcpu, saved, kept } = vcpus[vcpu];
  if (holder === 'registers') return pcpu === null ? null : pcpus[pcpu].stack;
  return { KVM: saved, perf: kept, nobody: null }[holder];
}

function pcpuPanel({ pcpu, vcpu, inGuest, debugctl, stack }: PcpuState, select: boolean): Panel {
  const where = inGuest ? 'in its guest' : 'in the host';
  const who = vcpu === null ? 'idle' : `v${vcpu} is ${where}, and its LBR MSRs exit`;
  return {
    title: `p${pcpu}`,
    notes: [who],
    heads: ['registers', ''],
    rows: [
      ...controls(debugctl, stack, null, select),
      ...stack.records.map((record) => recordRow(record.slot, record, undefined, false)),
    ],
  };
}

function vcpuPanel(state: StoryState, vcpu: VcpuState, select: boolean): Panel {
  const { reference, referenceDebugctl, holder, wrong, pcpu } = vcpu;
  const held = heldBy(state, vcpu.vcpu);
  const own = { debugctl: referenceDebugctl, stack: reference };
  const slots = [...(held?.records ?? []), ...reference.records].map(({ slot }) => slot);
  const rows = [...new Set(slots)].map((slot) =>
    held === null
      ? { name: `slot ${slot}`, here: '', reference: recordIn(reference, slot), wrong: false }
      : recordRow(slot, recordIn(held, slot), recordIn(reference, slot), wrong.includes(slot)),
  );
  return {
    title: pcpu === null ? `v${vcpu.vcpu}` : `v${vcpu.vcpu} on p${pcpu}`,
    notes: notesOf(state, vcpu),
    heads: [HOLDERS[holder], 'reference'],
    rows: [...controls(vcpu.debugctl, held, own, select), ...rows],
  };
}

function recordIn({ records }: StoryStack, slot: number): StoryRecord | null {
  return records.find((record) => record.slot === slot) ?? null;
}

function notesOf(state: StoryState, vcpu: VcpuState): string[] {
  const { vm, pcpu, task, inKernel, inside, active, passthrough, wrong } = vcpu;
  const inGuest = pcpu !== null && state.pcpus[pcpu].inGuest;
  const where = pcpu === null ? 'off' : inGuest ? 'in its guest' : 'in the host';
  return [
    `VM ${vm}, task ${task}, ${inKernel ? 'kernel' : 'user'} mode, ${where}`,
    ...(pcpu === null ? [] : [passthrough ? 'LBR MSRs passed through' : 'LBR MSRs exit']),
    ...(active ? ['ACTIVE'] : []),
    ...(inside === '' ? [] : [`inside ${inside}`]),
    ...(wrong.length === 0 ? [] : [`${plural(wrong.length, 'slot')} ≠ reference`]),
  ];
}

function taskPanel(vm: number, task: number, kept: StoryStack): Panel {
  return {
    title: `VM ${vm} task ${task}`,
    notes: ['kept for it by its own perf'],
    heads: ["guest perf's copy", ''],
    rows: [
      { name: 'LBR_TOS', here: String(kept.tos), reference: undefined, wrong: false },
      ...kept.records.map((record) => recordRow(record.slot, record, undefined, false)),
    ],
  };
}

function recordRow(
  slot: number,
  here: StoryRecord | null,
  reference: StoryRecord | null | undefined,
  wrong: boolean,
): PanelRow {
  return { name: `slot ${slot}`, here, reference, wrong };
}

/** The rows of DEBUGCTL, LBR_SELECT and LBR_TOS. */
function controls(
  debugctl: string,
  held: StoryStack | null,
  own: { readonly debugctl: string; readonly stack: StoryStack } | null,
  hasSelect: boolean,
): PanelRow[] {
  const row = (name: string, here: string, of: (stack: StoryStack) => string): PanelRow => ({
    name,
    here,
    reference: own === null ? undefined : of(own.stack),
    wrong: false,
  });
  return [
    row('DEBUGCTL', debugctl, () => own?.debugctl ?? ''),
    ...(hasSelect && held !== null ? [row('LBR_SELECT', selectOf(held), selectOf)] : []),
    ...(held === null ? [] : [row('LBR_TOS', tosOf(held), tosOf)]),
  ];
}

function selectOf({ select }: StoryStack): string {
  return selectBrief(select);
}

function tosOf({ tos }: StoryStack): string {
  return String(tos);
}
