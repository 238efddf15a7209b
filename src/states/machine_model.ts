/**
 * The machine that `verify` runs, as a model to explore. A state is one number for each VM's part,
 * one for the host's, and the properties that the last action broke.
 *
 * An action touches one VM and the host, so its effect depends on their two parts alone. The effect
 * is computed once, by running the machine, and is then looked up: most states differ only in the
 * parts of other VMs.
 */
import { POLICY_PROPERTIES } from '../judge/properties.js';
import { type Action, KIND } from '../schedule/table.js';
import { type MachineConfig, totalVcpus } from '../machine/config.js';
import { ActionTable } from './action_table.js';
import type { Bounds } from '../schedule/explored.js';
import { Alphabet } from './alphabet.js';
import type { Invariant, Model } from '../search/model.js';
import { grown } from './part_store.js';
import { Parts } from './parts.js';
import { NONE } from './stepped_machine.js';
import { WordMap } from './word_map.js';

/** More accesses than any guest kernel function makes. */
const FAR = 1 << 20;
const ACTIONS_MAX = 1 << 12;
const BROKEN_BITS = 0xffff;
const BASE_SHIFT = 16;
/** In a key, the place of a VM where none is touched. */
const NO_PART = -1;
const OFF = 1 << 8;
const ROOM_SHIFT = 9;

/** A machine and its monitor as a model of a search, within bounds. */
export class MachineModel implements Model {
  readonly stateWords: number;
  readonly actionsMax: number = ACTIONS_MAX;
  readonly invariants: readonly Invariant[];
  readonly parts: Parts;
  readonly table: ActionTable;
  private readonly config: MachineConfig;
  private readonly alphabet: Alphabet;
  private readonly vms: number;
  /** Whether states that differ in the numbers of VMs alone are different. */
  private readonly keepsVms: boolean;
  /** vCPUs that the last `apply` has saved or restored in vain, one bit each. */
  private inVain = 0;
  private readonly steps: WordMap = new WordMap(4, 5);
  private readonly lists: WordMap = new WordMap(4, 2);
  private readonly moves: WordMap = new WordMap(2, 1);
  private pool: Int32Array = new Int32Array(1 << 12);
  private poolEnd = 0;
  private readonly key: Int32Array = new Int32Array(4);
  private readonly moveKey: Int32Array = new Int32Array(2);
  private readonly renames: WordMap = new WordMap(3, 2);
  private readonly renameKey: Int32Array = new Int32Array(3);
  private readonly value: Int32Array = new Int32Array(5);
  private readonly rotated: Int32Array;
  private readonly scratch: Int32Array;

  /** @param keepsVms - whether `canonical` leaves VMs their numbers, as claims about one need. */
  constructor(config: MachineConfig, bounds: Bounds, keepsVms = false) {
    this.keepsVms = keepsVms;
    this.config = { ...config, plainBranches: true };
    this.vms = config.shape.vms;
    this.stateWords = config.shape.vms + 2;
    this.parts = new Parts(this.config, bounds);
    this.table = new ActionTable(this.config);
    const { machine, monitor } = this.parts;
    this.alphabet = new Alphabet(
      machine,
      bounds,
      (vcpu) => monitor.reference.of(vcpu).recording,
      (vm, task) => monitor.samples.frames(vm, task),
      this.parts.opened,
    );
    this.rotated = new Int32Array(config.shape.vms);
    this.scratch = new Int32Array(this.stateWords);
    const last = this.stateWords - 1;
    this.invariants = POLICY_PROPERTIES.map(({ name }, p) => ({
      name,
      holds: (state: Int32Array): boolean => (state[last] & (1 << p)) === 0,
    }));
  }

  /** Whether a vCPU's guest has used LBR, and does not any more. */
  stopped(state: Int32Array, vcpu: number): boolean {
    const { vcpus } = this.config.shape;
    const inFrame = this.inFrame(state, vcpu);
    const part = state[Math.trunc(inFrame / vcpus)];
    return (this.parts.stopped(part) & (1 << (inFrame % vcpus))) !== 0;
  }

  /** Whether an action saves or restores a vCPU whose guest has stopped. */
  worksInVain(state: Int32Array, action: number, vcpu: number): boolean {
    this.scratch.set(state);
    this.apply(this.scratch, action);
    return (this.inVain & (1 << this.inFrame(state, vcpu))) !== 0;
  }

  /** The number that a vCPU has in the parts of a state. */
  private inFrame(state: Int32Array, vcpu: number): number {
    const n = totalVcpus(this.config);
    const base = state[this.vms + 1] >>> BASE_SHIFT;
    return (vcpu - base * this.config.shape.vcpus + n) % n;
  }

  /** Bytes that parts and what is known of actions take up. */
  get bytes(): number {
    const { steps, lists, moves, renames, pool, parts } = this;
    const known = steps.bytes + lists.bytes + moves.bytes + renames.bytes;
    return known + parts.bytes + 4 * pool.length;
  }

  init(state: Int32Array): void {
    const { machine, monitor } = this.parts;
    monitor.start(machine);
    this.parts.opened.fill(0);
    machine.boot();
    const broken = this.broken();
    monitor.forget();
    for (let vm = 0; vm < this.vms; vm++) {
      this.parts.take(vm, 0);
      state[vm] = this.parts.vm;
    }
    state[this.vms] = this.parts.host;
    state[this.vms + 1] = broken;
  }

  actions(state: Int32Array, out: Int32Array): number {
    const { parts, vms, config } = this;
    const host = state[vms];
    let suspended = 0;
    for (let vm = 0; vm < vms; vm++) suspended += parts.suspended(state[vm]);
    let n = 0;
    for (let p = 0; p < config.shape.pcpus; p++) {
      const vcpu = parts.loaded(host, p);
      const vm = vcpu < 0 ? NO_PART : Math.trunc(vcpu / config.shape.vcpus);
      // A suspended function that goes on may be suspended again; see `list` for the VM's others.
      const others = suspended - (vm < 0 ? 0 : parts.suspended(state[vm]));
      const room = this.alphabet.bounds.suspended - others;
      n = this.listed(state, vm, p | (Math.max(0, room) << ROOM_SHIFT), out, n);
    }
    if (!this.alphabet.has('migrate')) return n;
    for (let vm = 0; vm < vms; vm++) n = this.listed(state, vm, OFF, out, n);
    return n;
  }

  apply(state: Int32Array, action: number): void {
    const { vms, steps } = this;
    let broken = 0;
    this.inVain = 0;
    for (let next = action; next >= 0;) {
      const vm = this.table.vm(next);
      const at = this.step(state, vm, next);
      const { words } = steps;
      if (vm >= 0) state[vm] = words[at];
      state[vms] = words[at + 1];
      broken |= words[at + 2];
      this.inVain |= words[at + 3];
      next = words[at + 4];
    }
    const base = state[vms + 1] & ~BROKEN_BITS;
    state[vms + 1] = base | broken;
    this.reframe(state);
  }

  cost(action: number): number {
    return this.table.after(action) > 0 ? 2 : 1;
  }

  /**
   * Makes the current task of each VM's first vCPU task 0, numbers branches anew, and forgets which
   * VM has which number.
   */
  canonical(state: Int32Array): void {
    const { parts, vms } = this;
    if (!this.keepsVms) state[vms + 1] &= BROKEN_BITS;
    for (let vm = 0; vm < vms; vm++) {
      if (this.elsewhere(state, vm) === 0) continue;
      parts.renameAll(state);
      return;
    }
    for (let vm = 0; vm < vms; vm++) {
      const held = parts.hostNumbers(state[vms], vm) !== 0;
      if (held || !parts.renamed(state[vm])) this.rename(state, vm, held);
    }
  }

  private rename(state: Int32Array, vm: number, held: boolean): void {
    const { renames, renameKey, parts, vms, value } = this;
    renameKey[0] = state[vm];
    renameKey[1] = held ? state[vms] : NO_PART;
    renameKey[2] = held ? vm : 0;
    let at = renames.find(renameKey);
    if (at < 0) {
      parts.rename(state[vm], state[vms], vm);
      value[0] = parts.vm;
      value[1] = parts.host;
      renames.add(renameKey, value);
      at = renames.find(renameKey);
    }
    state[vm] = renames.words[at];
    if (held) state[vms] = renames.words[at + 1];
  }

  /** An action in a state as what a schedule has for it: one action, or a switch and one. */
  actionsOf(state: Int32Array, action: number): Action[] {
    return this.table.actionsOf(action, state[this.vms + 1] >>> BASE_SHIFT);
  }

  /** What a schedule has for actions from a state on; the state goes along with them. */
  scheduleOf(state: Int32Array, actions: readonly number[]): Action[] {
    return actions.flatMap((action) => {
      const shown = this.actionsOf(state, action);
      this.apply(state, action);
      return shown;
    });
  }

  /** The properties that the machine has broken since the last `forget`, one bit each. */
  private broken(): number {
    const { broken } = this.parts.monitor.verdicts;
    let bits = 0;
    for (let p = 0; p < broken.length; p++) if (broken[p] !== 0) bits |= 1 << p;
    return bits;
  }

  /** Numbers of a VM's branches that the parts of other VMs hold. */
  private elsewhere(state: Int32Array, vm: number): number {
    let numbers = 0;
    for (let other = 0; other < this.vms; other++) {
      if (other === vm) continue;
      numbers |= this.parts.numbers(state[other], (vm - other + this.vms) % this.vms);
    }
    return numbers;
  }

  /** Where in `steps` it is said what an action does; it is worked out if it is not. */
  private step(state: Int32Array, vm: number, action: number): number {
    const { key, steps } = this;
    key[0] = vm < 0 ? NO_PART : state[vm];
    key[1] = state[this.vms];
    key[2] = vm < 0 ? 0 : this.elsewhere(state, vm);
    key[3] = action;
    const at = steps.find(key);
    return at >= 0 ? at : this.workOut(state, vm, action, key[2]);
  }

  private workOut(state: Int32Array, vm: number, action: number, elsewhere: number): number {
    const { parts, value, table, key } = this;
    const { machine, monitor } = parts;
    this.put(state, vm);
    if (vm >= 0) parts.numberNext(vm, state[vm], state[this.vms], elsewhere);
    table.perform(action, machine);
    if (table.kind(action) === KIND.open) parts.opened[vm]++;
    parts.take(vm, elsewhere);
    value[0] = parts.vm;
    value[1] = parts.host;
    value[2] = this.broken();
    value[3] = monitor.switches.inVain;
    value[4] = machine.pending === NONE ? -1 : table.arrival(machine.pendingPcpu, machine.pending);
    this.steps.add(key, value);
    return this.steps.find(key);
  }

  /** Puts the parts that an action can touch into the machine. */
  private put(state: Int32Array, vm: number): void {
    const { parts } = this;
    const { machine, monitor } = parts;
    parts.putHost(state[this.vms]);
    // What is left of other VMs must not be taken for vCPUs that run.
    for (const vcpu of machine.vcpus) if (vcpu.vm !== vm) vcpu.pcpu = -1;
    if (vm >= 0) parts.putVm(state[vm], vm);
    monitor.forget();
    machine.pending = NONE;
  }

  /** Adds the actions of a pCPU, or of a VM that is off, to a list. Returns its new length. */
  private listed(
    state: Int32Array,
    vm: number,
    what: number,
    out: Int32Array,
    length: number,
  ): number {
    const { key, lists } = this;
    key[0] = vm < 0 ? NO_PART : state[vm];
    key[1] = state[this.vms];
    key[2] = vm;
    key[3] = what;
    let at = lists.find(key);
    if (at < 0) {
      const from = this.poolEnd;
      this.list(state, vm, what);
      this.value[0] = from;
      this.value[1] = this.poolEnd - from;
      lists.add(key, this.value);
      at = lists.find(key);
    }
    const from = lists.words[at];
    const n = lists.words[at + 1];
    for (let i = 0; i < n; i++) out[length + i] = this.pool[from + i];
    return length + n;
  }

  private offer(action: number): void {
    if (this.poolEnd === this.pool.length) this.pool = grown(this.pool, this.poolEnd + 1);
    this.pool[this.poolEnd++] = action;
  }

  /** Works out what a pCPU, or a VM that is off, can do. */
  private list(state: Int32Array, vm: number, what: number): void {
    const { parts, alphabet, table } = this;
    const { machine } = parts;
    this.put(state, vm);
    if (what === OFF) {
      for (const vcpu of machine.vcpus) {
        if (vcpu.vm !== vm || vcpu.pcpu >= 0) continue;
        alphabet.off(vcpu.id, (kind, actor, a, b, c) =>
          this.offer(table.plain(kind, actor, a, b, c, 0)),
        );
      }
      return;
    }
    const p = what & (OFF - 1);
    const room = what >> ROOM_SHIFT;
    const successors = alphabet.successors(p);
    const loaded = machine.loaded(p);
    for (const next of successors) {
      if (next >= 0) this.offer(table.plain(KIND.run, p, next, 0, 0, p, vm));
      else this.offer(table.plain(KIND.idle, p, 0, 0, 0, p, vm));
    }
    alphabet.onPcpu(p, (kind, actor, a, b, c) =>
      this.offer(table.plain(kind, actor, a, b, c, p, vm)),
    );
    if (loaded === null) return;
    const v = loaded.id;
    alphabet.atOnce(v, (kind, actor, a, b, c) => this.offer(table.plain(kind, actor, a, b, c, p)));
    const { ports, vcpus } = machine;
    const others = vcpus.filter((o) => o.vm === vm && o !== loaded && ports[o.id].suspended !== 0);
    const functions: number[] = [];
    alphabet.functions(v, (kind, actor, a, b, c) =>
      functions.push(table.plain(kind, actor, a, b, c, p)),
    );
    for (const action of functions) {
      this.offer(action);
      if (room <= others.length || !alphabet.has('inside')) continue;
      const accesses = this.accesses(state, vm, p, action);
      for (const next of successors) {
        for (let after = 1; after <= accesses; after++) {
          this.offer(table.interrupted(action, after, next));
        }
      }
    }
  }

  /** How many MSR accesses a guest kernel function makes from here on. */
  private accesses(state: Int32Array, vm: number, pcpu: number, action: number): number {
    const { parts, table } = this;
    const { machine } = parts;
    this.put(state, vm);
    parts.numberNext(vm, state[vm], state[this.vms], 0);
    machine.arm(pcpu, -1, FAR);
    table.perform(action, machine);
    return FAR + 1 - machine.disarm(pcpu);
  }

  /** Makes the VM that runs on the first pCPU in use number 0, if that changes names only. */
  private reframe(state: Int32Array): void {
    const { parts, vms, rotated, config } = this;
    const host = state[vms];
    let vcpu = -1;
    for (let p = 0; vcpu < 0 && p < config.shape.pcpus; p++) vcpu = parts.loaded(host, p);
    const by = Math.trunc(vcpu / config.shape.vcpus);
    if (by <= 0 || !parts.hostNeutral(host)) return;
    for (let vm = 0; vm < vms; vm++) rotated[vm] = state[(vm + by) % vms];
    for (let vm = 0; vm < vms; vm++) state[vm] = rotated[vm];
    state[vms] = this.moved(host, by);
    const base = (state[vms + 1] >>> BASE_SHIFT) + by;
    state[vms + 1] = (state[vms + 1] & BROKEN_BITS) | ((base % vms) << BASE_SHIFT);
  }

  private moved(host: number, by: number): number {
    const { moves, moveKey, value } = this;
    moveKey[0] = host;
    moveKey[1] = by;
    const at = moves.find(moveKey);
    if (at >= 0) return moves.words[at];
    value[0] = this.parts.moveHost(host, by);
    moves.add(moveKey, value);
    return value[0];
  }
}
