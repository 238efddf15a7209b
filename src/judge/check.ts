import { type MachineConfig, taskSlots, totalVcpus } from '../machine/config.js';
import type { Machine } from '../machine/machine.js';
import type { Reference } from './reference.js';
import type { Verdicts } from './verdicts.js';

/**
 * What a check remembers from one action to the next: the same number of elements for each vCPU,
 * VM, task slot (over all VMs) or pCPU. The verdict of an action depends on this and on the
 * machine's block alone, so exploration can restore both.
 */
export interface History {
  readonly per: 'vcpu' | 'vm' | 'task' | 'pcpu';
  readonly words: Int32Array | Uint8Array;
  /** What is in them, where that has names: registers, numbers of branches, or vCPUs. */
  readonly holds?: 'registers' | 'numbers' | 'vcpus';
}

/** Keeps words for each vCPU, VM, task slot or pCPU, which begin each run with the same value. */
export class Remembering {
  readonly histories: History[] = [];
  protected readonly config: MachineConfig;
  private readonly kept: { readonly words: History['words']; readonly first: number }[] = [];

  constructor(config: MachineConfig) {
    this.config = config;
  }

  /** Must be called before each run. */
  start(): void {
    for (const { words, first } of this.kept) words.fill(first);
  }

  /** All that is kept: with it, a run can be gone on with from one of its states. */
  get remembered(): History['words'][] {
    return this.kept.map(({ words }) => words);
  }

  /** Keeps words, and makes them part of the history. */
  protected keep<Words extends History['words']>(
    per: History['per'],
    words: Words,
    first = 0,
    holds?: History['holds'],
  ): Words {
    this.histories.push(holds === undefined ? { per, words } : { per, words, holds });
    return this.hint(words, first);
  }

  /** Keeps words that no verdict depends on: a cache, or what only reach counters read. */
  protected hint<Words extends History['words']>(words: Words, first = 0): Words {
    this.kept.push({ words, first });
    return words;
  }

  protected bytes(per: History['per'], first = 0): Uint8Array {
    return this.keep(per, new Uint8Array(countOf(this.config, per)), first);
  }

  protected numbers(per: History['per'], first = 0, holds?: History['holds']): Int32Array {
    return this.keep(per, new Int32Array(countOf(this.config, per)), first, holds);
  }
}

function countOf(config: MachineConfig, per: History['per']): number {
  switch (per) {
    case 'vcpu':
      return totalVcpus(config);
    case 'task':
      return config.shape.vms * taskSlots(config);
    case 'vm':
      return config.shape.vms;
    default:
      return config.shape.pcpus;
  }
}

/** One group of claims about a machine: what it looks at, and where it says what it found. */
export class Check extends Remembering {
  /** The machine that is judged; there is none before its monitor is started. */
  protected readonly machine: () => Machine;
  protected readonly reference: Reference;
  protected readonly verdicts: Verdicts;

  constructor(
    config: MachineConfig,
    machine: () => Machine,
    reference: Reference,
    verdicts: Verdicts,
  ) {
    super(config);
    this.machine = machine;
    this.reference = reference;
    this.verdicts = verdicts;
  }
}
