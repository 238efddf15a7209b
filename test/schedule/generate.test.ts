/** The generator: the same choices make the same schedule, and every choice makes sense. */
import { beforeAll, describe, expect, it } from 'vitest';
import { PORT } from '../../src/guest/perf/lbr_port.js';
import { hasFamily } from '../../src/schedule/guest.js';
import * as perf from '../../src/guest/perf/perf_event.js';
import { addressHigh, BRANCH_NONE } from '../../src/hw/branch.js';
import { KIND_NONE, lbrMap } from '../../src/hw/lbr_map.js';
import * as msrs from '../../src/hw/msr_index.js';
import { always } from '../../src/host/policy/always.js';
import { ACTION_NAMES, ACTIONS, KIND } from '../../src/schedule/table.js';
import type { ActionName } from '../../src/schedule/table.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import { Generator } from '../../src/schedule/generate.js';
import type { Machine } from '../../src/machine/machine.js';
import { canPerform, needsTree, perform } from '../../src/schedule/table.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { cpuModel } from '../rig/cpu.js';
import { bootedMachine } from '../rig/machine.js';
import { drawOf, SEED } from '../rig/seed.js';

class Rig {
  readonly m: Machine;
  readonly generator: Generator;

  constructor(cpu = 'skylake') {
    this.m = bootedMachine({ cpu, policy: always, vcpus: 2, tasks: 3, pcpus: 2 });
    this.generator = new Generator(this.m);
  }

  /** Draws and performs actions from the boot. `visit` sees each action before it is performed. */
  run(seed: number, steps: number, switches = true, visit = (): void => {}): Schedule {
    const { m, generator } = this;
    const schedule = new Schedule();
    m.boot();
    generator.begin(drawOf(seed), switches);
    for (let i = 0; i < steps; i++) {
      generator.next();
      visit();
      const { kind, actor, a, b, c } = generator;
      schedule.push(kind, actor, a, b, c);
      perform(m, kind, actor, a, b, c);
    }
    return schedule;
  }
}

/** Groups of kinds that a run may leave out, written down again. */
const GROUPS: readonly (readonly ActionName[])[] = [
  ['hostEvent', 'hostWork', 'hostOverflow', 'hostCounters', 'pt'],
  ['kexec'],
  ['liveMigrate'],
  ['cstate', 'idle', 'halt'],
  ['wrmsr'],
  ['rdmsr'],
  ['fork'],
  ['disable', 'enable'],
  ['close'],
  ['enter', 'leave'],
];
/** The port can't do what needs an image or its KVM. */
const ALWAYS_THERE = ACTION_NAMES.filter(
  (name) => !GROUPS.flat().includes(name) && !needsTree(ACTIONS[name]),
);

describe('Generator', () => {
  it('the same choices always make the same schedule, on a machine used before as well', () => {
    const [one, two] = [new Rig(), new Rig()];
    for (let i = 0; i < 5; i++) {
      const first = one.run(SEED + i, 120).actions();
      two.run(SEED + 100 + i, 30);
      expect(two.run(SEED + i, 120).actions()).toEqual(first);
      expect(one.run(SEED + 200 + i, 120).actions()).not.toEqual(first);
    }
  });

  it('something is always drawn before a run begins, by the first choice each time', () => {
    const { m, generator } = new Rig();
    m.boot();
    for (let i = 0; i < 20; i++) {
      generator.next();
      const { kind, actor, a, b, c } = generator;
      expect(canPerform(m, kind, actor, a, b)).toBe(true);
      perform(m, kind, actor, a, b, c);
    }
  });

  it('a whole group of kinds is left out of about half of the runs, each by itself', () => {
    const rig = new Rig('haswell');
    const runs = 60;
    const seen = Array.from({ length: runs }, (_, i) => {
      const kinds = rig.run(SEED * 1000 + i, 250).actions();
      return new Set(kinds.map(({ kind }) => kind));
    });
    const withAny = (names: readonly ActionName[]): number =>
      seen.filter((kinds) => names.some((name) => kinds.has(name))).length;
    for (const name of ALWAYS_THERE) {
      // `boot` needs a kexec; `resume` and `migrateTask` need other conditions that are rare.
      const least = ['boot', 'resume', 'migrateTask'].includes(name) ? 5 : 40;
      expect([name, withAny([name]) > least]).toEqual([name, true]);
    }
    for (const group of GROUPS) {
      const n = withAny(group);
      // Host work is the only action left if a pCPU has nothing else to do.
      const most = group.includes('hostWork') ? runs : runs - 15;
      expect([group, n > 10, n <= most]).toEqual([group, true, true]);
    }
    // Groups are left out independently: each pair occurs both together and apart.
    for (const a of ['kexec', 'wrmsr', 'rdmsr', 'fork', 'close', 'enter'] as const) {
      for (const b of ['wrmsr', 'rdmsr', 'fork', 'close', 'enter'] as const) {
        if (a === b) continue;
        expect(seen.some((kinds) => kinds.has(a) && !kinds.has(b))).toBe(true);
        expect(seen.some((kinds) => kinds.has(a) && kinds.has(b))).toBe(true);
      }
    }
  });

  it('vCPUs are never switched when the switches are made elsewhere', () => {
    const rig = new Rig();
    for (let i = 0; i < 10; i++) {
      const kinds = rig.run(SEED + i, 120, false).actions();
      const switches = kinds.filter(({ kind }) => ['run', 'idle', 'halt'].includes(kind));
      expect(switches).toEqual([]);
    }
  });

  it('actions that are left out are never drawn, whatever style a run has', () => {
    const { m } = new Rig('haswell');
    const without: readonly ActionName[] = ['fork', 'run', 'hostEvent', 'liveMigrate'];
    const generator = new Generator(m, without);
    const seen = new Set<ActionName>();
    for (let run = 0; run < 20; run++) {
      m.boot();
      if (run % 2 === 0) generator.begin(drawOf(SEED + run), true);
      else generator.beginGuestsOnly(drawOf(SEED + run));
      for (let i = 0; i < 150; i++) {
        generator.next();
        const { kind, actor, a, b, c } = generator;
        seen.add(ACTION_NAMES[kind]);
        perform(m, kind, actor, a, b, c);
      }
    }
    expect(without.filter((name) => seen.has(name))).toEqual([]);
    expect(seen).toContain('exit');
    expect(seen).toContain('taskSwitch');
  });

  it('a parameter of the action before is never kept', () => {
    const rig = new Rig();
    rig.run(SEED, 400, true, () => {
      const { kind, a, b, c } = rig.generator;
      const { length } = ACTIONS[ACTION_NAMES[kind]].params;
      expect([a, b, c].slice(length)).toEqual([0, 0, 0].slice(length));
    });
    rig.generator.c = 9;
    rig.generator.set(KIND.run, 1, 2, 3);
    const { kind, actor, a, b, c } = rig.generator;
    expect([kind, actor, a, b, c]).toEqual([KIND.run, 1, 2, 3, 0]);
  });
});

/** The parameters drawn over many runs, by kind. */
class Survey {
  readonly rig: Rig;
  private readonly values: Map<string, number> = new Map();

  constructor(cpu: string, runs: number) {
    this.rig = new Rig(cpu);
    for (let i = 0; i < runs; i++) {
      this.rig.run(SEED * 7919 + i, 150, true, () => {
        const { kind, actor, a, b, c } = this.rig.generator;
        const key = [ACTION_NAMES[kind], actor, a, b, c].join(' ');
        this.values.set(key, (this.values.get(key) ?? 0) + 1);
      });
    }
  }

  /** How often a parameter (0 is a) of a kind had each value. */
  of(kind: ActionName, param: number): Map<number, number> {
    const found = new Map<number, number>();
    for (const [key, n] of this.values) {
      const [name, , ...args] = key.split(' ');
      const value = Number(args[param]);
      if (name === kind) found.set(value, (found.get(value) ?? 0) + n);
    }
    return found;
  }

  /** The distinct parameter triples [a, b, c] of a kind. */
  all(kind: ActionName): number[][] {
    const keys = [...this.values.keys()].filter((key) => key.startsWith(`${kind} `));
    return keys.map((key) => key.split(' ').slice(2).map(Number));
  }
}

/** Whether the values that `pick` accepts make up a share between `low` and `high`. */
function share(found: Map<number, number>, pick: (value: number) => boolean): number {
  let [all, some] = [0, 0];
  for (const [value, n] of found) {
    all += n;
    if (pick(value)) some += n;
  }
  return some / all;
}

const between = (low: number, x: number, high: number): boolean => low < x && x < high;

describe('drawn parameters', () => {
  const { lbr_nr, lbr_from, lbr_to } = cpuModel('haswell');
  let survey: Survey;
  beforeAll(() => {
    survey = new Survey('haswell', 120);
  });

  it('branches repeat a few times, now and then around the whole stack', () => {
    for (const kind of ['call', 'ret', 'jmp', 'jcc', 'hostWork'] as const) {
      const n = survey.of(kind, 0);
      expect([kind, Math.min(...n.keys())]).toEqual([kind, 1]);
      expect(Math.max(...n.keys())).toBeLessThanOrEqual(lbr_nr + 4);
      expect([
        kind,
        between(
          0.8,
          share(n, (v) => v <= 3),
          0.96,
        ),
      ]).toEqual([kind, true]);
    }
    expect(Math.max(...survey.of('call', 0).keys())).toBe(lbr_nr + 4);
  });

  it('calls are mostly relative, and other branches are mixed', () => {
    const calls = survey.of('call', 1);
    expect([...calls.keys()].sort()).toEqual([0, 1, 2]);
    expect(
      between(
        0.6,
        share(calls, (v) => v === 0),
        0.8,
      ),
    ).toBe(true);
    expect(
      between(
        0.03,
        share(calls, (v) => v === 2),
        0.12,
      ),
    ).toBe(true);
    for (const [kind, param] of [
      ['jmp', 1],
      ['enter', 0],
    ] as const) {
      const found = survey.of(kind, param);
      expect([...found.keys()].sort()).toEqual([0, 1]);
      expect([
        kind,
        between(
          0.25,
          share(found, (v) => v === 0),
          0.75,
        ),
      ]).toEqual([kind, true]);
    }
  });

  it('some switches and NMIs are delayed by a number of accesses', () => {
    for (const [kind, param, low, high] of [
      ['run', 1, 0.15, 0.45],
      ['idle', 0, 0.15, 0.5],
      ['pmi', 1, 0.15, 0.35],
    ] as const) {
      const after = survey.of(kind, param);
      expect([
        kind,
        between(
          low,
          share(after, (v) => v > 0),
          high,
        ),
      ]).toEqual([kind, true]);
      expect(Math.max(...after.keys())).toBeLessThanOrEqual(6 * lbr_nr + 12);
      expect(Math.max(...after.keys())).toBeGreaterThan(kind === 'idle' ? 12 : 60);
      expect(Math.min(...after.keys())).toBe(0);
      const near = share(after, (v) => v > 0 && v <= 12) / share(after, (v) => v > 0);
      expect([kind, between(0.4, near, 0.75)]).toEqual([kind, true]);
    }
  });

  it('events are mostly call-stack events, on the task that runs, another, or a CPU', () => {
    const tasks = survey.of('open', 0);
    expect(
      between(
        0.05,
        share(tasks, (v) => v < 0),
        0.25,
      ),
    ).toBe(true);
    expect(
      between(
        0.5,
        share(survey.of('open', 2), (v) => v === BRANCH_TYPES[0]),
        0.9,
      ),
    ).toBe(true);
    for (const type of BRANCH_TYPES) expect(survey.of('open', 2).get(type)).toBeGreaterThan(0);
    const attr = survey.of('open', 1);
    for (const [bit, low, high] of [
      [perf.ATTR_PINNED, 0.15, 0.35],
      [perf.ATTR_INHERIT, 0.4, 0.6],
      [perf.ATTR_DISABLED, 0.12, 0.35],
      [perf.ATTR_ENABLE_ON_EXEC, 0.06, 0.2],
      [perf.ATTR_FREQ, 0.15, 0.35],
      [perf.ATTR_BOUND, 0.12, 0.3],
    ]) {
      expect([
        bit,
        between(
          low,
          share(attr, (v) => (v & bit) !== 0),
          high,
        ),
      ]).toEqual([bit, true]);
    }
    const others =
      perf.ATTR_VLBR | perf.ATTR_VLBR_EXCLUDES | perf.ATTR_CGROUP_A | perf.ATTR_CGROUP_B;
    expect(share(attr, (v) => (v & others) !== 0)).toBe(0);
    const waits = perf.ATTR_ENABLE_ON_EXEC | perf.ATTR_DISABLED;
    expect(share(attr, (v) => (v & waits) === perf.ATTR_ENABLE_ON_EXEC)).toBe(0);
    const odd = [...survey.of('open', 2).keys()].filter((type) => !BRANCH_TYPES.includes(type));
    expect(odd.length).toBeGreaterThan(3);
    expect(Math.max(...odd)).toBeLessThan(2 ** perf.PERF_SAMPLE_BRANCH_MAX_SHIFT);
  });

  it('raw accesses are to LBR MSRs or DEBUGCTL, most often to records', () => {
    const map = lbrMap(survey.rig.m.config.model);
    for (const kind of ['rdmsr', 'wrmsr'] as const) {
      const msr = survey.of(kind, 0);
      for (const index of msr.keys()) {
        expect(index === msrs.MSR_IA32_DEBUGCTLMSR || map.kind(index) !== KIND_NONE).toBe(true);
      }
      for (const index of [msrs.MSR_LBR_TOS, msrs.MSR_LBR_SELECT, msrs.MSR_IA32_DEBUGCTLMSR]) {
        const part = share(msr, (v) => v === index);
        expect([kind, index, between(0.06, part, 0.2)]).toEqual([kind, index, true]);
      }
      const inBank = (base: number) => (v: number) => v >= base && v < base + lbr_nr;
      expect(between(0.38, share(msr, inBank(lbr_from)), 0.62)).toBe(true);
      expect(between(0.06, share(msr, inBank(lbr_to)), 0.2)).toBe(true);
      expect([...msr.keys()].filter(inBank(lbr_from)).length).toBe(lbr_nr);
    }
  });

  it('a raw write is what the register takes, except for one value in sixteen', () => {
    const map = lbrMap(survey.rig.m.config.model);
    let [bad, all, zero, owned] = [0, 0, 0, 0];
    for (const [msr, eax, edx] of survey.all('wrmsr')) {
      all++;
      if (edx === 0x00ff0000) {
        bad++;
        continue;
      }
      if (msr === msrs.MSR_IA32_DEBUGCTLMSR) {
        expect([eax & ~0xc807, edx]).toEqual([0, 0]);
        continue;
      }
      expect(map.faults(msr, eax, edx)).toBe(false);
      if (msr === msrs.MSR_LBR_TOS) expect(eax).toBeLessThan(lbr_nr);
      if (msr === msrs.MSR_LBR_SELECT) expect(eax).toBeLessThan(512);
      if (msr < lbr_from) continue;
      if (eax === 0) zero++;
      else {
        owned++;
        expect(eax).toBeLessThanOrEqual(0xffff);
        const user = [0, 1].flatMap((vm) =>
          [0, 1].flatMap((cpu) =>
            Array.from({ length: 6 }, (_, task) => addressHigh(false, BRANCH_NONE, vm, cpu, task)),
          ),
        );
        const kernel = user.map((edx_) => edx_ | 0xffff8000);
        expect([...user, ...kernel]).toContain(edx);
      }
    }
    expect(bad).toBeGreaterThan(3);
    expect(bad / all).toBeLessThan(0.25);
    expect([zero > 5, owned > 5]).toEqual([true, true]);
    const debugctl = survey.all('wrmsr').filter(([msr]) => msr === msrs.MSR_IA32_DEBUGCTLMSR);
    const values = debugctl.map(([, eax]) => eax);
    const often = values.filter((eax) => (eax & ~0x801) === 0);
    expect(new Set(often)).toEqual(new Set([0, 1, 0x800, 0x801]));
    expect(often.length / values.length).toBeGreaterThan(0.35);
    // BTF, a bit that no CPU here has, FREEZE_IN_SMM and RTM_DEBUG, one at a time.
    const rare = values.filter((eax) => (eax & ~0x801) !== 0).map((eax) => eax & ~0x801);
    for (const eax of rare) expect([0x2, 0x4, 0x4000, 0x8000]).toContain(eax);
    expect(new Set(rare).size).toBeGreaterThan(2);
  });

  it('each event of the host is turned on and off and closed', () => {
    const both = survey.all('hostEvent').map(([which, op]) => `${which} ${op}`);
    const all = [0, 1, 2].flatMap((which) => [0, 1, 2].map((op) => `${which} ${op}`));
    expect([...new Set(both)].sort()).toEqual(all);
  });
});

describe('a run with one family', () => {
  /** A machine whose guest has events, each with its parent plus one. */
  function having(parents: readonly number[], image: boolean): Machine {
    const events = [...parents.map((parent) => ({ used: 1, parent })), { used: 0, parent: 0 }];
    const driver = image ? { image: {} } : PORT;
    return { config: { driver }, cpu: () => ({ kernel: { events } }) } as unknown as Machine;
  }

  it.each([
    ['no event', [], false, false],
    ['an event', [0], true, true],
    ['an event that was inherited', [0, 1], true, false],
    ['two events', [0, 1, 0], true, true],
  ] as const)('that has %s opens another one or does not', (_name, parents, port, image) => {
    expect(hasFamily(having(parents, false), 0)).toBe(port);
    expect(hasFamily(having(parents, true), 0)).toBe(image);
  });
});

describe('a run', () => {
  it('about half of all runs open nothing but call-stack events of tasks', () => {
    const rig = new Rig('haswell');
    let [plain, other] = [0, 0];
    for (let i = 0; i < 40; i++) {
      const opens = rig
        .run(SEED * 31 + i, 200)
        .actions()
        .filter(({ kind }) => kind === 'open');
      const isPlain = opens.every(({ args }) => args[0] >= 0 && args[2] === BRANCH_TYPES[0]);
      if (isPlain) plain++;
      else other++;
    }
    expect([plain > 10, other > 10]).toEqual([true, true]);
  });

  it('a CPU without call-stack mode never has runs of call-stack events alone', () => {
    const rig = new Rig('nehalem');
    for (let i = 0; i < 20; i++) {
      const opens = rig
        .run(SEED * 31 + i, 400)
        .actions()
        .filter(({ kind }) => kind === 'open');
      expect(opens.some(({ args }) => args[2] !== BRANCH_TYPES[0])).toBe(true);
    }
  });

  it('about a quarter of all runs never delay a switch', () => {
    const rig = new Rig();
    let calm = 0;
    for (let i = 0; i < 60; i++) {
      const runs = rig
        .run(SEED * 17 + i, 150)
        .actions()
        .filter(({ kind }) => kind === 'run');
      if (runs.every(({ args }) => args[1] === 0)) calm++;
    }
    expect(between(5, calm, 30)).toBe(true);
  });

  it('drawAfter always draws a number of accesses up to some six stacks', () => {
    const { m, generator } = new Rig();
    m.boot();
    generator.begin(drawOf(SEED), true);
    const drawn = Array.from({ length: 300 }, () => generator.after(true));
    expect(Math.min(...drawn)).toBe(0);
    expect(Math.max(...drawn)).toBeLessThanOrEqual(6 * 32 + 12);
  });

  it('INFO is often read and written where it exists', () => {
    const survey = new Survey('skylake', 25);
    const { lbr_info, lbr_nr } = survey.rig.m.config.model;
    const msr = survey.of('rdmsr', 0);
    expect(share(msr, (v) => v >= lbr_info && v < lbr_info + lbr_nr)).toBeGreaterThan(0.04);
    const infos = survey.all('wrmsr').filter(([index]) => index >= lbr_info);
    expect(infos.length).toBeGreaterThan(2);
    for (const [, eax, edx] of infos) {
      expect([0, 0x00ff0000]).toContain(edx);
      // Bits 15:13 hold the VM, here 0 or 1.
      expect(eax >>> 13).toBeLessThan(2);
      expect(eax & 0x1000).toBe(0x1000);
    }
  });
});
