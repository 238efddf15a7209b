/** Guests of a schedule without a host: this decides if a failure is the kernel's own. */
import { describe, expect, it } from 'vitest';
import type { Cpu } from '../../src/guest/perf/kernel.js';
import { addressVm } from '../../src/hw/branch.js';
import { KIND_NONE, lbrMap } from '../../src/hw/lbr_map.js';
import type { LogicalProcessor } from '../../src/hw/logical_processor.js';
import { MSR_LBR_TOS } from '../../src/hw/msr_index.js';
import { findPolicy } from '../../src/host/policy/index.js';
import type { LbrPolicy } from '../../src/host/policy/policy.js';
import { PROPERTY_NAMES } from '../../src/judge/properties.js';
import type { Action } from '../../src/schedule/table.js';
import type { MachineConfig } from '../../src/machine/config.js';
import { drawOf } from '../../src/schedule/draw.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { configAlone, stepBoth } from '../../src/campaign/alone.js';
import type { Shape } from '../../src/campaign/campaign.js';
import { DEFAULT_SHAPES, runCampaign, ShapeCampaign } from '../../src/campaign/campaign.js';
import { PROPERTY } from '../../src/judge/properties.js';
import { breakerOf } from '../../src/campaign/replay_file.js';
import { Bench } from '../../src/campaign/trial.js';
import { afterRead } from '../rig/judge.js';
import { cpuModel } from '../rig/cpu.js';

const CALLSTACK_USER = 0x801;
const TWO_VMS: Shape = { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };

function policy(name: string): LbrPolicy {
  const found = findPolicy(name);
  if (found === undefined) throw new Error(`no policy ${name}`);
  return found;
}

function configOf(name: string, shape: Shape): MachineConfig {
  return { ...shape, model: cpuModel('skylake'), kernel: '6.1', policy: policy(name) };
}

const LBR_MSRS = Array.from({ length: 0x1000 }, (_, msr) => msr).filter(
  (msr) => lbrMap(cpuModel('skylake')).kind(msr) !== KIND_NONE,
);

/** DEBUGCTL and every LBR register, except the TOS of an empty stack. */
function registersOf(cpu: LogicalProcessor, debugctl: number): string {
  const msrs = cpu.stack.empty ? LBR_MSRS.filter((msr) => msr !== MSR_LBR_TOS) : LBR_MSRS;
  return [debugctl, ...msrs.flatMap((msr) => [cpu.rdmsr(msr), cpu.edx])].join(' ');
}

describe('the machine without a host', () => {
  const runs = (name: string, shape: Shape): number => {
    const config = configOf(name, shape);
    const campaign = new ShapeCampaign(config);
    const met = new Bench(config);
    const alone = new Bench(configAlone(config));
    let suspended = 0;
    for (let run = 0; run < 10; run++) {
      campaign.run(drawOf(7, run), 60, null);
      met.boot();
      alone.boot();
      const schedule = campaign.lastSchedule;
      for (let i = 0; i < schedule.length; i++) {
        stepBoth(met, alone, schedule, i);
        for (const { id, inGuest, vmcs, pcpu } of alone.machine.vcpus) {
          if (pcpu !== id) expect(pcpu).toBe(id);
          if (alone.machine.ports[id].suspended !== 0) suspended++;
          const cpu = alone.machine.pcpus[id];
          const debugctl = inGuest ? cpu.debugctl : vmcs.guestDebugctl;
          const wanted = met.monitor.reference.of(id);
          const same = registersOf(cpu, debugctl) === registersOf(wanted, wanted.debugctl);
          if (!same) expect(schedule.actions().slice(0, i + 1)).toBe(`to leave v${id} the same`);
        }
      }
      expect(alone.monitor.verdicts.broken.every((bit) => bit === 0)).toBe(true);
    }
    return suspended;
  };

  it.each(['always', 'pv-sound', 'lazy-sound', 'parked'])(
    'the machine without a host has the registers of the reference machine under %s',
    (name) => {
      const suspended = DEFAULT_SHAPES.map((shape) => runs(name, shape));
      expect(Math.min(...suspended)).toBeGreaterThan(0);
    },
  );
});

describe('a failure of the kernel itself', () => {
  const open: Action = { kind: 'open', actor: 0, args: [0, 0, CALLSTACK_USER] };
  const call: Action = { kind: 'call', actor: 0, args: [1, 0] };
  const pmi: Action = { kind: 'pmi', actor: 0, args: [0, 0] };
  const run = (vcpu: number, after = 0): Action => ({
    kind: 'run',
    actor: 0,
    args: [vcpu, after],
  });
  const other: Action = { ...open, actor: 1 };

  /** Number of VMs whose records a sample holds. */
  const vmsIn = (cpu: Cpu): number => {
    const entries = Array.from({ length: cpu.cpuc.lbr_stack_nr }, (_, i) => cpu.lbr_entry(i));
    const full = entries.filter((at) => cpu.kernel.words[at] !== 0);
    return new Set(full.map((at) => addressVm(cpu.kernel.words[at + 1]))).size;
  };
  /** A driver that miscounts users after it has read records of two VMs. */
  const MISCOUNTS = afterRead((cpu) => {
    if (vmsIn(cpu) > 1) cpu.cpuc.lbr_users++;
  });
  /** A driver that miscounts users after it has read no record. */
  const MISCOUNTS_NONE = afterRead((cpu) => {
    if (cpu.cpuc.lbr_stack_nr === 0) cpu.cpuc.lbr_users++;
  });

  const breaker = (config: MachineConfig, actions: readonly Action[]): string =>
    breakerOf({ config, property: 'balanced', schedule: Schedule.of(actions), whose: null });

  it('a failure that needs a host is never the kernel’s own', () => {
    const never = { ...configOf('never', TWO_VMS), driver: MISCOUNTS_NONE };
    const wiped = [open, call, run(1), other, run(0), pmi];
    expect(breaker(never, wiped)).toBe('nobody');
    expect(breaker(never, [open, run(1), other, run(0), pmi])).toBe('kernel');
    expect(breaker({ ...never, policy: policy('always') }, wiped)).toBe('nobody');
    expect(breaker(never, [open, pmi])).toBe('kernel');
  });

  it('a campaign never reports a failure that needs a host as the kernel’s own', () => {
    // This CPU has no call-stack mode, so Linux itself never miscounts.
    const options = {
      model: cpuModel('nehalem'),
      kernel: '6.1' as const,
      shapes: [TWO_VMS],
      properties: ['balanced' as const],
      runs: 60,
      steps: 60,
      seed: 1,
      schedules: [],
    };
    const never = { ...options, policies: [policy('never')] };
    expect(runCampaign({ ...never, driver: MISCOUNTS }).kernelFindings).toEqual([]);
    const { kernelFindings } = runCampaign({ ...never, driver: MISCOUNTS_NONE });
    expect(kernelFindings.map(({ property }) => property)).toEqual(['balanced']);
  });

  it('a failure is looked for among possible actions only, whatever a file asks', () => {
    const impossible: readonly Action[] = [
      { kind: 'resume', actor: 0, args: [] },
      { kind: 'call', actor: 63, args: [1, 0] },
      { kind: 'run', actor: 9, args: [0, 0] },
    ];
    const config = { ...configOf('never', TWO_VMS), driver: MISCOUNTS_NONE };
    expect(breaker(config, [...impossible, open, pmi])).toBe('kernel');
    const bench = new Bench(config);
    const schedule = Schedule.of([open, pmi, ...impossible]);
    const reached = [...bench.monitor.verdicts.reach];
    expect(bench.breaksAlone(schedule, 1, PROPERTY['balanced'])).toBe(false);
    expect(bench.breaksAlone(schedule, schedule.length, PROPERTY['balanced'])).toBe(true);
    expect([...bench.monitor.verdicts.reach]).toEqual(reached);
    expect(PROPERTY_NAMES.every((_, p) => bench.monitor.verdicts.own[p] === 0)).toBe(true);
  });
});
