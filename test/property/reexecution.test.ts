/**
 * A guest function that the host interrupts continues exactly as if it had not been interrupted.
 * Policy `always` keeps every register, so each difference that a guest sees comes from
 * re-execution.
 */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { KernelVersion } from '../../src/guest/perf/kernel.js';
import type { DriverKind } from '../../src/guest/perf/lbr_driver.js';
import { PORT } from '../../src/guest/perf/lbr_port.js';
import { kernelDriver } from '../../src/tree/driver.js';
import { installedBinary, installedSource } from '../rig/installed_kernel.js';
import { BRANCH_REL_CALL } from '../../src/hw/branch.js';
import { type CpuModel, withDepth } from '../../src/hw/cpu_models.js';
import { lbrMap } from '../../src/hw/lbr_map.js';
import { always } from '../../src/host/policy/always.js';
import { canPerform, IS_VCPU, KIND, KINDS, perform } from '../../src/schedule/table.js';
import type { Shape } from '../../src/machine/config.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import { Generator } from '../../src/schedule/generate.js';
import { Machine } from '../../src/machine/machine.js';
import { canSwitchTo } from '../../src/schedule/guest.js';
import { cpuModel } from '../rig/cpu.js';
import { observing } from '../rig/observer.js';
import { SEED } from '../rig/seed.js';

/** A function of at most this many accesses is interrupted before each of them. */
const EVERY_UP_TO = 40;

/** Actions that run a function of the guest kernel. */
const FUNCTIONS: ReadonlySet<number> = new Set(
  [...KINDS.keys()].filter((kind) => KINDS[kind].runsFunction === true),
);

/** Answers choices from a list of numbers, which fast-check can shrink. A used-up list yields 0. */
class Tape {
  private at = 0;
  private readonly numbers: readonly number[];

  constructor(numbers: readonly number[]) {
    this.numbers = numbers;
  }

  readonly below = (n: number): number => (this.numbers[this.at++] ?? 0) % n;
}

/** The state before the function matters, so the list is as long as fast-check allows. */
const tape = fc
  .noBias(fc.array(fc.nat(0xffff), { minLength: 200, maxLength: 900, size: 'max' }))
  .map((numbers) => new Tape(numbers));

interface Step {
  readonly kind: number;
  readonly actor: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

/** A machine. A tape decides what the guests of one VM do, and the schedule. */
class Rig {
  readonly m: Machine;
  readonly generator: Generator;
  private log: string[] = [];
  private accesses = 0;
  /** Accesses of the watched vCPU before its PMI; -1 if there was none. */
  private pmiAt = -1;
  private watched = -1;

  constructor(model: CpuModel, shape: Shape) {
    const observer = observing((name, args) => {
      if (name.startsWith('guest')) this.heard(name, args);
    });
    this.m = new Machine({ shape, model, kernel: version, policy: always, driver }, observer);
    this.generator = new Generator(this.m);
  }

  private heard(name: string, args: readonly number[]): void {
    if (args[0] !== this.watched) return;
    if (name === 'guestPmi') this.pmiAt = this.accesses;
    if (/Read|Write|Fault/.test(name)) this.accesses++;
    this.log.push([name, ...args].join(' '));
  }

  /** Clears the log and listens to one vCPU from now on. */
  listen(vcpu: number): void {
    this.log = [];
    this.accesses = 0;
    this.pmiAt = -1;
    this.watched = vcpu;
  }

  get heardSoFar(): readonly string[] {
    return this.log;
  }

  get accessCount(): number {
    return this.accesses;
  }

  get pmiPosition(): number {
    return this.pmiAt;
  }

  /** Draws an action that takes effect at once: the delay of a switch or a PMI is set to 0. */
  draw(): Step {
    this.generator.next();
    const { kind, actor, a, b, c } = this.generator;
    if (kind === KIND.idle) return { kind, actor, a: 0, b: 0, c: 0 };
    if (kind === KIND.run || kind === KIND.pmi) return { kind, actor, a, b: 0, c };
    return { kind, actor, a, b, c };
  }

  perform({ kind, actor, a, b, c }: Step): void {
    expect(canPerform(this.m, kind, actor, a, b)).toBe(true);
    perform(this.m, kind, actor, a, b, c);
  }

  /** Brings the machine into a random state. */
  prefix(choices: Tape, steps: number): void {
    this.m.boot();
    this.generator.begin(choices, true);
    for (let i = 0; i < steps; i++) this.perform(this.draw());
  }

  /** A function that some vCPU can run now, preferably a long one; null if the tape finds none. */
  function(choices: Tape): Step | null {
    const raw = choices.below(6) === 0;
    for (let i = 0; i < 80; i++) {
      const step = this.draw();
      const isRaw = step.kind === KIND.rdmsr || step.kind === KIND.wrmsr;
      if (FUNCTIONS.has(step.kind) && (raw || !isRaw)) return step;
    }
    return null;
  }

  /** Performs actions that leave the VM of the interrupted vCPU alone. */
  elsewhere(vm: number, steps: number): void {
    const { m } = this;
    for (let i = 0; i < steps; i++) {
      const step = this.draw();
      const comes = step.kind === KIND.run || step.kind === KIND.arrive;
      const other = comes ? step.a : step.actor;
      const isVcpu = IS_VCPU[step.kind] === 1 || comes;
      const migrates = step.kind === KIND.liveMigrate;
      if (isVcpu && !migrates && m.vcpus[other].vm === vm) continue;
      this.perform(step);
    }
  }

  kernelWords(vm: number): number[] {
    const { start, size } = this.m.guests[vm].layout;
    return Array.from(this.m.memory.words.subarray(start, start + size));
  }

  /** Everything that a vCPU which is off will find when it runs again. */
  vcpuState(vcpu: number): number[] {
    const { m } = this;
    const { vmcs, records, global_ctrl, global_status, pvLbrCtrl } = m.vcpus[vcpu];
    const { lbr_from, lbr_to, lbr_info, lbr_nr } = m.config.model;
    const banks = [lbr_from, lbr_to, lbr_info].filter((base) => base !== 0);
    const each = banks.flatMap((base) => Array.from({ length: lbr_nr }, (_, i) => base + i));
    expect(each.every((msr) => lbrMap(m.config.model).kind(msr) !== 0)).toBe(true);
    return [
      m.cpl(vcpu),
      Number(m.booting(vcpu)),
      Number(m.ports[vcpu].nmiArmed),
      vmcs.guestDebugctl,
      global_ctrl,
      global_status,
      pvLbrCtrl,
      records.tos,
      records.lbr_select,
      ...each.flatMap((msr) => [records.readLow(msr), records.readHigh(msr)]),
    ];
  }
}

/** What a function's vCPU did, and the state that the function left. */
interface Outcome {
  readonly did: readonly string[];
  readonly kernel: readonly number[];
  readonly vcpu: readonly number[];
}

function outcome(rig: Rig, vcpu: number): Outcome {
  const { m } = rig;
  const did = [...rig.heardSoFar];
  const { pcpu, vm } = m.vcpus[vcpu];
  const kernel = rig.kernelWords(vm);
  if (pcpu >= 0) m.switchTo(pcpu, -1);
  return { did, kernel, vcpu: rig.vcpuState(vcpu) };
}

/** Puts the machine into a state and, unless `nmi` is null, arms an NMI. */
function prepare(m: Machine, state: Int32Array, vcpu: number, nmi: Nmi | null): void {
  m.memory.words.set(state);
  if (nmi !== null) m.pmi(vcpu, nmi.event, nmi.after);
}

/** An event whose counter overflows, and the accesses before its NMI (at least 1). */
interface Nmi {
  readonly event: number;
  readonly after: number;
}

function uninterrupted(rig: Rig, state: Int32Array, step: Step, nmi: Nmi | null): Outcome {
  prepare(rig.m, state, step.actor, nmi);
  rig.listen(step.actor);
  rig.perform(step);
  expect(rig.m.ports[step.actor].suspended).toBe(0);
  return outcome(rig, step.actor);
}

/** Interrupts the function repeatedly, each time after the next of `gaps` new accesses. */
function interrupted(
  rig: Rig,
  state: Int32Array,
  step: Step,
  nmi: Nmi | null,
  gaps: readonly number[],
  choices: Tape,
): { readonly outcome: Outcome; readonly times: number; readonly pmiAt: number } {
  const { m } = rig;
  const v = step.actor;
  const port = m.ports[v];
  const { vm } = m.vcpus[v];
  prepare(m, state, v, nmi);
  rig.listen(v);
  let made = 0;
  let times = 0;
  for (const gap of gaps) {
    const { pcpu } = m.vcpus[v];
    const others = m.vcpus.filter((other) => other.vm !== vm && other.pcpu < 0);
    const next = choices.below(2) === 0 ? -1 : (others.at(0)?.id ?? -1);
    m.arm(pcpu, next, gap);
    if (times === 0) rig.perform(step);
    else m.resume(v);
    if (port.suspended === 0) break;
    times++;
    made += gap;
    expect([port.accesses, m.vcpus[v].pcpu]).toEqual([made, -1]);
    rig.elsewhere(vm, 1 + choices.below(6));
    const free = m.pcpus.findIndex((_, p) => m.loaded(p) === null);
    m.switchTo(Math.max(free, 0), v);
  }
  while (port.suspended !== 0) m.resume(v);
  const { pmiPosition: pmiAt } = rig;
  return { outcome: outcome(rig, v), times, pmiAt };
}

/** An active event of the current task whose counter can overflow, or -1. */
function countingEvent(m: Machine, vcpu: number): number {
  const { events } = m.cpu(vcpu).kernel;
  return events.findIndex((event) => canPerform(m, KIND.pmi, vcpu, event.id, 0));
}

const HOST_SHAPE = { vms: 2, vcpus: 2, tasks: 3, pcpus: 2 };

let driver: DriverKind = PORT;
let version: KernelVersion = '6.1';

/** What guests run. Since 6.15, words of task data are shared by the CPUs of a guest. */
const PORTS = ['port', 'port of 7.3'];
const DRIVERS = installedSource === null ? PORTS : [...PORTS, 'kernel'];

describe.each(DRIVERS)('with the %s driver', (name) => {
  beforeAll(() => {
    driver = name === 'kernel' ? kernelDriver(installedBinary()) : PORT;
    version = name === 'port of 7.3' ? '7.3' : '6.1';
  });

  describe('a guest function that is interrupted', () => {
    const models: readonly CpuModel[] = [
      withDepth(cpuModel('skylake'), 4),
      cpuModel('haswell'),
      cpuModel('skylake'),
    ];

    it.each(models)(
      `an interrupted function of the ${name} goes on as if nothing had been, $lbr_nr deep`,
      (model) => {
        const rig = new Rig(model, HOST_SHAPE);
        let cut = 0;
        fc.assert(
          fc.property(tape, fc.integer({ min: 1, max: 60 }), (choices, steps) => {
            rig.prefix(choices, steps);
            const step = rig.function(choices);
            if (step === null) return;
            const state = rig.m.memory.words.slice();
            const plain = uninterrupted(rig, state, step, null);
            const n = rig.accessCount;
            const stride = Math.max(1, Math.ceil(n / EVERY_UP_TO));
            for (let k = choices.below(stride); k < n; k += stride) {
              const run = interrupted(rig, state, step, null, [k], choices);
              expect(run.times).toBe(1);
              expect(run.outcome).toEqual(plain);
              cut++;
            }
          }),
          { seed: SEED, numRuns: 40 },
        );
        expect(cut).toBeGreaterThan(100);
      },
    );

    it(`a function of the ${name} always goes on after several interruptions`, () => {
      const rig = new Rig(withDepth(cpuModel('skylake'), 4), HOST_SHAPE);
      let twice = 0;
      const gaps = fc.noBias(fc.array(fc.nat(9), { minLength: 2, maxLength: 4 }));
      fc.assert(
        fc.property(tape, fc.integer({ min: 1, max: 60 }), gaps, (choices, steps, lengths) => {
          rig.prefix(choices, steps);
          const step = rig.function(choices);
          if (step === null) return;
          const state = rig.m.memory.words.slice();
          const plain = uninterrupted(rig, state, step, null);
          const run = interrupted(rig, state, step, null, lengths, choices);
          expect(run.outcome).toEqual(plain);
          if (run.times > 1) twice++;
        }),
        { seed: SEED, numRuns: 250 },
      );
      expect(twice).toBeGreaterThan(25);
    });

    it(`an NMI is taken once, before, between or after interruptions of the ${name}`, () => {
      const rig = new Rig(withDepth(cpuModel('skylake'), 4), HOST_SHAPE);
      const reached = { before: 0, after: 0, inside: 0, samples: 0 };
      const gaps = fc.array(fc.nat(24), { minLength: 1, maxLength: 3 });
      const after = fc.integer({ min: 1, max: 24 });
      fc.assert(
        fc.property(
          tape,
          fc.integer({ min: 8, max: 80 }),
          after,
          gaps,
          (choices, steps, n, cuts) => {
            rig.prefix(choices, steps);
            const step = rig.function(choices);
            if (step === null || step.kind === KIND.kexec) return;
            const event = countingEvent(rig.m, step.actor);
            if (event < 0 || step.kind === KIND.pmi) return;
            const state = rig.m.memory.words.slice();
            const run = interrupted(rig, state, step, { event, after: n }, cuts, choices);
            // The NMI is armed for the same access in the uninterrupted run.
            const nmi = run.pmiAt < 0 ? null : { event, after: run.pmiAt + 1 };
            if (nmi === null) return;
            const plain = uninterrupted(rig, state, step, nmi);
            expect(run.outcome).toEqual(plain);
            if (run.times === 0) return;
            if (run.pmiAt > cuts[0]) reached.before++;
            else if (run.pmiAt + 6 < cuts[0]) reached.after++;
            else reached.inside++;
            const samples = run.outcome.did.filter((line) => line.startsWith('guestSample'));
            expect(samples.length).toBeLessThanOrEqual(1);
            reached.samples += samples.length;
          },
        ),
        { seed: SEED, numRuns: 600 },
      );
      expect(Math.min(...Object.values(reached))).toBeGreaterThan(2);
    });
  });

  describe('a context switch', () => {
    it(`a context switch of the ${name} ends the same, wherever it is interrupted`, () => {
      const model = withDepth(cpuModel('haswell'), 4);
      const rig = new Rig(model, { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 });
      const { m } = rig;
      m.boot();
      rig.generator.begin(new Tape([]), true);
      for (const task of [0, 1]) m.open(0, task, 0, BRANCH_TYPES[0]);
      for (const task of [1, 0]) {
        m.branches(0, BRANCH_REL_CALL, 3);
        m.switchTask(0, task);
      }
      const step = { kind: KIND.taskSwitch, actor: 0, a: 1, b: 0, c: 0 };
      const state = m.memory.words.slice();
      const plain: Outcome[] = [];
      let longest = 0;
      for (let after = 1; ; after++) {
        const end = uninterrupted(rig, state, step, { event: 0, after });
        if (rig.pmiPosition < 0) break;
        expect(rig.pmiPosition).toBe(after - 1);
        plain.push(end);
        longest = Math.max(longest, rig.accessCount);
        expect(end.did.filter((line) => line.startsWith('guestPmi'))).toHaveLength(1);
      }
      expect(plain.length).toBeGreaterThan(20);
      for (const after of plain.keys()) {
        for (let k = 0; k < longest; k++) {
          const nmi = { event: 0, after: after + 1 };
          const run = interrupted(rig, state, step, nmi, [k, k % 5], new Tape([]));
          // An interruption may move the NMI by two accesses, but not repeat or split it.
          expect(Math.abs(run.pmiAt - after)).toBeLessThanOrEqual(2);
          expect(run.outcome).toEqual(plain[run.pmiAt]);
        }
      }
    });
  });

  describe('another vCPU of the VM', () => {
    it(`while the ${name} is interrupted, other vCPUs go on, except with held tasks`, () => {
      const shape = { vms: 1, vcpus: 2, tasks: 5, pcpus: 2 };
      const rig = new Rig(withDepth(cpuModel('skylake'), 4), shape);
      const { m } = rig;
      let went = 0;
      fc.assert(
        fc.property(tape, fc.integer({ min: 1, max: 60 }), fc.nat(16), (choices, steps, k) => {
          rig.prefix(choices, steps);
          const step = rig.function(choices);
          if (step === null || step.kind === KIND.kexec) return;
          const v = step.actor;
          const other = 1 - v;
          const state = m.memory.words.slice();
          expect([m.lockedTasks(v), m.ports[v].lockedTasks]).toEqual([0, 0]);
          rig.listen(v);
          rig.perform(step);
          const plain = { did: [...rig.heardSoFar], kernel: rig.kernelWords(0) };

          m.memory.words.set(state);
          rig.listen(v);
          const { pcpu } = m.vcpus[v];
          m.arm(pcpu, -1, k);
          rig.perform(step);
          if (m.ports[v].suspended === 0) return;
          const held = m.lockedTasks(other);
          if (step.kind !== KIND.pmi) expect(held & (1 << m.cpu(v).cpuctx.current)).not.toBe(0);
          const { tasks } = m.guests[0];
          for (const { id, alive, on_cpu } of tasks) {
            const free = alive === 1 && on_cpu === 0;
            expect(canSwitchTo(m, other, id)).toBe(free && (held & (1 << id)) === 0);
          }
          if (m.vcpus[other].pcpu < 0) m.switchTo(pcpu, other);
          for (let i = 0; i < 24; i++) {
            const act = rig.draw();
            if (IS_VCPU[act.kind] === 0 || act.kind === KIND.halt || act.actor !== other) continue;
            rig.perform(act);
            went++;
          }
          m.switchTo(pcpu, v);
          m.resume(v);
          expect(rig.heardSoFar.map(withoutSeq)).toEqual(plain.did.map(withoutSeq));
          for (const [at, size] of heldWords(m, v, held)) {
            const from = at - m.guests[0].layout.start;
            const now = Array.from(m.memory.words.subarray(at, at + size));
            expect(now).toEqual(plain.kernel.slice(from, from + size));
          }
        }),
        { seed: SEED, numRuns: 250 },
      );
      expect(went).toBeGreaterThan(200);
    });
  });
});

/** Removes sequence numbers, since branches of the other vCPU use some up. */
function withoutSeq(line: string): string {
  return line.startsWith('guestBranch') ? line.split(' ').slice(0, 4).join(' ') : line;
}

/** Offset and size of each part of the memory that a function of this vCPU may touch. */
function heldWords(m: Machine, vcpu: number, held: number): (readonly [number, number])[] {
  const { kernel, cpuc, ctx } = m.cpu(vcpu);
  const { layout } = kernel;
  const tasks = kernel.tasks.filter((task) => (held & (1 << task.id)) !== 0);
  const contexts = [ctx, ...kernel.contexts.filter((c) => tasks.some((t) => c.task === t.id + 1))];
  const data = contexts.filter((c) => c.task_ctx_data !== 0);
  return [
    [cpuc.o, layout.percpuWords],
    ...tasks.map((task) => [task.o, 4] as const),
    ...contexts.map((c) => [c.o, layout.contextWords] as const),
    ...data.map((c) => [kernel.data[c.task_ctx_data - 1].o, layout.dataWords] as const),
  ];
}
