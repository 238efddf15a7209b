import type { MachineConfig } from '../machine/config.js';
import type { Machine } from '../machine/machine.js';
import type { Reference } from './reference.js';
import type { Verdicts } from './verdicts.js';

/**
 * What a check remembers from one action to the next: the same number of elements for each vCPU,
 * VM, task slot (over all VMs) or pCPU. With the machine's block it is all that the verdict of an
 * action hangs on, so that exploration can put both back.
 */
export interface History {
  readonly per: 'vcpu' | 'vm' | 'task' | 'pcpu';
  readonly words: Int32Array | Uint8Array;
  /** What is in them, where that has names: registers, numbers of branches, or vCPUs. */
  readonly holds?: 'registers' | 'numbers' | 'vcpus';
}

/** One group of claims about a machine: what it looks at, and where it says what it found. */
export class Check {
  protected readonly config: MachineConfig;
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
    this.config = config;
    this.machine = machine;
    this.reference = reference;
    this.verdicts = verdicts;
  }
}
