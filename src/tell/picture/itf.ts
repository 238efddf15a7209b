/**
 * A story in the Informal Trace Format of Apalache and Quint (ADR-015 of Apalache): the states of
 * the machine, one for each step, in the variables of a specification.
 */
import type { StoryAccess } from './scribe.js';
import type { StoryRecord, StoryStack } from './stacks.js';
import type { PcpuState, TaskState, VcpuState } from './state.js';
import type { Story, StoryStep } from './story.js';

/** A value as the format has it: JSON, with `#map`, `#tup` and `#bigint` for what JSON lacks. */
type Expr = string | boolean | number | readonly Expr[] | { readonly [field: string]: Expr };

/** Stands for a vCPU, a pCPU or a VM that is not there. */
const NONE = -1;

const VARS = [
  'action',
  'possible',
  'pcpus',
  'vcpus',
  'tasks',
  'accesses',
  'exits',
  'parted',
  'broken',
] as const;

/** The trace as an object, to be printed as JSON. Its schedule is in `#meta`, as a token. */
export function storyItf(story: Story): object {
  const { policy, property, cpu, kernel, token, text, steps } = story;
  return {
    '#meta': {
      format: 'ITF',
      'format-description': 'https://apalache-mc.org/docs/adr/015adr-trace.html',
      description: `vlbr replay: ${policy}, ${property}`,
      status: text === '' ? 'ok' : 'violation',
      policy,
      property,
      cpu,
      kernel,
      text,
      token,
    },
    vars: VARS,
    states: steps.map((step) => stateOf(story, step)),
  };
}

function stateOf({ partsAt, breaksAt }: Story, step: StoryStep): object {
  const { number, action, possible, accesses, exits, state } = step;
  const values: Readonly<Record<(typeof VARS)[number], Expr>> = {
    action,
    possible,
    pcpus: mapOf(state.pcpus.map((one) => [one.pcpu, pcpuOf(one)])),
    vcpus: mapOf(state.vcpus.map((one) => [one.vcpu, vcpuOf(one)])),
    tasks: mapOf(state.tasks.map((one) => [{ '#tup': [one.vm, one.task] }, taskOf(one)])),
    accesses: accesses.map(accessOf),
    exits: mapOf(exits.map((n, vcpu) => [vcpu, n])),
    parted: partsAt !== null && number >= partsAt,
    broken: number === breaksAt,
  };
  return { '#meta': { index: number }, ...values };
}

function mapOf(pairs: readonly (readonly [Expr, Expr])[]): Expr {
  return { '#map': pairs };
}

/** A 64-bit value: a number of JSON as far as all readers keep it exact. */
function integer(hex: string): Expr {
  const value = BigInt(hex === '' ? 0 : hex);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : { '#bigint': String(value) };
}

function pcpuOf({ vcpu, inGuest, debugctl, stack }: PcpuState): Expr {
  return { vcpu: vcpu ?? NONE, inGuest, debugctl, lbr: stackOf(stack) };
}

function vcpuOf(state: VcpuState): Expr {
  const { vm, pcpu, task, inKernel, inside, active, passthrough, debugctl, holder } = state;
  const { saved, kept, reference, referenceDebugctl, wrong } = state;
  return {
    vm,
    pcpu: pcpu ?? NONE,
    task,
    inKernel,
    inside,
    active,
    passthrough,
    debugctl,
    holder,
    saved: stackOf(saved),
    kept: keptOf(kept),
    reference: { debugctl: referenceDebugctl, ...stackOf(reference) },
    wrong,
  };
}

function taskOf({ vcpu, kept }: TaskState): Expr {
  return { vcpu: vcpu ?? NONE, kept: keptOf(kept) };
}

/** No stack or one, as a list: the format has no null. */
function keptOf(kept: StoryStack | null): Expr {
  return kept === null ? [] : [stackOf(kept)];
}

function stackOf({ select, tos, records }: StoryStack): { readonly [field: string]: Expr } {
  return { select, tos, records: records.map(recordOf) };
}

function recordOf({ slot, vm, task, kind, number, from, to, info }: StoryRecord): Expr {
  const values = { from: integer(from), to: integer(to), info: integer(info) };
  return { slot, vm, task, kind, number, ...values };
}

function accessOf(access: StoryAccess): Expr {
  const { by, vcpu, pcpu, write, msr, count, value, exits, fault, reference } = access;
  return {
    by,
    vcpu: vcpu ?? NONE,
    pcpu,
    write,
    msr,
    count,
    value: integer(value),
    exits,
    fault,
    wrong: reference !== null,
  };
}
