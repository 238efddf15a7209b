/**
 * The actions of an exploration, each known by its number: what a schedule has for it, in numbers
 * of the frame in which it was found, and which VM it is about.
 */
import { type Action, ACTION_NAMES, ACTIONS, IS_VCPU, KIND, perform } from '../schedule/table.js';
import { type MachineConfig, totalVcpus } from '../machine/config.js';
import { addressVm } from '../hw/branch.js';
import { assert } from '../hw/assert.js';
import { RAW_VALUE } from '../schedule/actions/msrs.js';
import { grown } from './part_store.js';
import type { SteppedMachine } from './stepped_machine.js';

/** The half of a switch in which a thread arrives: no schedule has it on its own. */
const ARRIVAL: number = ACTION_NAMES.length;

const KIND_AT = 0;
const ACTOR = 1;
const A = 2;
const B = 3;
const C = 4;
/** The host takes the pCPU before the access of this number, from 1 on; 0 is never. */
const AFTER = 5;
const NEXT = 6;
const PCPU = 7;
const VM = 8;

/** VM number in the high word of an address. */
const VM_SHIFT = 8;
const VM_MASK: number = 7 << VM_SHIFT;

export class ActionTable {
  private readonly config: MachineConfig;
  private readonly rows: number[][] = [];
  /** Kinds by action: searches read them often. */
  private kinds: Int32Array = new Int32Array(1 << 8);
  private vms: Int32Array = new Int32Array(1 << 8);
  private afters: Int32Array = new Int32Array(1 << 8);
  private readonly numbers: Map<string, number> = new Map();

  constructor(config: MachineConfig) {
    this.config = config;
  }

  /**
   * The number of an action.
   *
   * @param vm - the VM that it is about; by default that of the vCPU `actor`.
   */
  plain(
    kind: number,
    actor: number,
    a: number,
    b: number,
    c: number,
    pcpu: number,
    vm: number = this.vmOf(actor),
  ): number {
    return this.number([kind, actor, a, b, c, 0, 0, pcpu, vm]);
  }

  /** The same action, with a switch to `next` before its MSR access of a number from 1 on. */
  interrupted(action: number, after: number, next: number): number {
    const row = [...this.rows[action]];
    row[AFTER] = after;
    row[NEXT] = next;
    return this.number(row);
  }

  arrival(pcpu: number, next: number): number {
    return this.number([ARRIVAL, 0, 0, 0, 0, 0, next, pcpu, next < 0 ? -1 : this.vmOf(next)]);
  }

  /** The VM that an action is about, or -1. */
  vm(action: number): number {
    return this.vms[action];
  }

  after(action: number): number {
    return this.afters[action];
  }

  /** Number of the kind of an action that a schedule has. */
  kind(action: number): number {
    return this.kinds[action];
  }

  perform(action: number, machine: SteppedMachine): void {
    const row = this.rows[action];
    if (row[KIND_AT] === ARRIVAL) {
      machine.switchIn(row[PCPU], row[NEXT]);
      return;
    }
    if (row[AFTER] > 0) machine.arm(row[PCPU], row[NEXT], row[AFTER] - 1);
    perform(machine, row[KIND_AT], row[ACTOR], row[A], row[B], row[C]);
  }

  /** What a schedule has for it, where number 0 of the frame is VM `base`. */
  actionsOf(action: number, base: number): Action[] {
    const row = this.rows[action];
    const kind = row[KIND_AT];
    assert(kind !== ARRIVAL, 'a switch is shown whole');
    const name = ACTION_NAMES[kind];
    const actor = IS_VCPU[kind] === 1 ? this.realVcpu(row[ACTOR], base) : row[ACTOR];
    const args = row.slice(A, A + ACTIONS[name].params.length);
    if (kind === KIND.run) args[0] = this.realVcpu(args[0], base);
    if (kind === KIND.wrmsr && args[1] === RAW_VALUE) args[2] = this.realAddress(args[2], base);
    const main: Action = { kind: name, actor, args };
    if (row[AFTER] === 0) return [main];
    const next = row[NEXT];
    const pcpu = row[PCPU];
    if (next < 0) return [{ kind: 'idle', actor: pcpu, args: [row[AFTER]] }, main];
    return [{ kind: 'run', actor: pcpu, args: [this.realVcpu(next, base), row[AFTER]] }, main];
  }

  private vmOf(vcpu: number): number {
    return Math.trunc(vcpu / this.config.shape.vcpus);
  }

  private realVcpu(vcpu: number, base: number): number {
    const n = totalVcpus(this.config);
    return (vcpu + base * this.config.shape.vcpus) % n;
  }

  /** A guest's own address in a raw write. */
  private realAddress(hi: number, base: number): number {
    const vm = (addressVm(hi) + base) % this.config.shape.vms;
    return (hi & ~VM_MASK) | (vm << VM_SHIFT);
  }

  private number(row: number[]): number {
    const key = row.join();
    const known = this.numbers.get(key);
    if (known !== undefined) return known;
    const number = this.rows.length;
    if (number === this.kinds.length) {
      this.kinds = grown(this.kinds, number + 1);
      this.vms = grown(this.vms, number + 1);
      this.afters = grown(this.afters, number + 1);
    }
    this.kinds[number] = row[KIND_AT];
    this.vms[number] = row[VM];
    this.afters[number] = row[AFTER];
    this.rows.push(row);
    this.numbers.set(key, number);
    return number;
  }
}
