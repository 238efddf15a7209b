/**
 * Parameters of actions: their ranges, how a person writes them, how they are drawn, and what
 * shrinking prefers. Whatever handles a parameter asks the parameter, never its name.
 */
import { CGROUPS } from '../guest/perf/perf_event.js';
import { hex } from '../hw/u64.js';
import type { Machine } from '../machine/machine.js';

/** How a value is written, and read again. */
export interface Form {
  text(value: number): string;
  /** The value, or null if the text is not one of this form. */
  value(text: string): number | null;
  /** What is right, for an error. */
  readonly expects: string;
}

export interface Param {
  readonly name: string;
  /** The smallest and the largest value that make sense. Shrinking goes towards the smallest. */
  readonly min: number;
  readonly max: number;
  readonly form: Form;
  /** The text of an action leaves a parameter out when it has this value. */
  readonly implied?: number;
  /** Set where a value names something: values are 0 to n-1 of an actor on this machine. */
  count?(m: Machine, actor: number): number;
  /** Set where the value is how often something happens. */
  readonly repeats?: true;
  /** Set where `min` is not what a reader likes best. */
  readonly liking?: Liking;
}

/** What shrinking prefers, where smaller is not simply better. */
export interface Liking {
  /** How far a value is from what a reader would like to see; shrinking only ever lowers it. */
  cost(value: number): number;
  /** Values to try, the most wanted first. */
  readonly first: readonly number[];
  /** Whether values half way to the smallest are tried, too. */
  readonly halves: boolean;
}

const DIGITS = /^-?\d+$/;

export const DECIMAL: Form = {
  text: String,
  value: (text) => (DIGITS.test(text) ? Number(text) : null),
  expects: 'a whole number',
};

/** A 32-bit word; a schedule stores it signed, a person sees it unsigned. */
export const HEX: Form = {
  text: (value) => hex(value >>> 0),
  value: (text) => (/^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) | 0 : null),
  expects: 'a number such as 0x1d9',
};

export function words(...names: readonly string[]): Form {
  return {
    text: (value) => names[value] ?? String(value),
    value: (text) => {
      const at = names.indexOf(text);
      return at >= 0 ? at : DECIMAL.value(text);
    },
    expects: `one of ${names.join(', ')}`,
  };
}

/** A name for each bit. */
export type BitNames = readonly (readonly [bit: number, name: string])[];

/** Names of the bits that are set, joined by `|`; a number where not all of them have a name. */
export function flags(bits: BitNames): Form {
  const all = bits.reduce((mask, [bit]) => mask | bit, 0);
  return {
    text: (value) => {
      const names = bits.filter(([bit]) => (value & bit) !== 0).map(([, name]) => name);
      return names.length === 0 || (value & ~all) !== 0 ? HEX.text(value) : names.join('|');
    },
    value: (text) => {
      let mask = 0;
      for (const name of text.split('|')) {
        const bit = bits.find(([, known]) => known === name)?.[0] ?? HEX.value(name);
        if (bit === null) return null;
        mask |= bit;
      }
      return mask;
    },
    expects: `one or more of ${bits.map(([, name]) => name).join('|')}`,
  };
}

export const n: Param = {
  name: 'n',
  min: 1,
  max: 65_536,
  form: DECIMAL,
  implied: 1,
  repeats: true,
};

/** Number of the MSR access before which something happens, from 1 on; 0 is at once. */
export const after: Param = { name: 'after', min: 0, max: 65_536, form: DECIMAL, implied: 0 };

/**
 * Task 0 is the plainest one. After it comes -1: an event of the CPU where one is opened, elsewhere
 * no task, so that the action is passed over.
 */
export const TASK_LIKING: Liking = {
  cost: (value) => (value < 0 ? 0.5 : value),
  first: [0, -1],
  halves: true,
};

/** A task of the guest that the actor belongs to. */
export const task: Param = {
  name: 'task',
  min: 0,
  max: 31,
  form: DECIMAL,
  count: (m, v) => m.cpu(v).kernel.tasks.length,
  liking: TASK_LIKING,
};

export const cgroup: Param = {
  name: 'cgroup',
  min: 0,
  max: CGROUPS.length - 1,
  form: words(...CGROUPS),
  count: () => CGROUPS.length,
};

/** A slot of the events of the guest that the actor belongs to. */
export const event: Param = {
  name: 'event',
  min: 0,
  max: 63,
  form: DECIMAL,
  count: (m, v) => m.cpu(v).kernel.events.length,
};

/** A vCPU, counted over all VMs. */
export const vcpu: Param = {
  name: 'vcpu',
  min: 0,
  max: 63,
  form: DECIMAL,
  count: (m) => m.vcpus.length,
};
