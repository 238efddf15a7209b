import type { MachineConfig } from '../machine/config.js';
import type { Machine } from '../machine/machine.js';
import type { Reference } from './reference.js';
import type { Verdicts } from './verdicts.js';

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
