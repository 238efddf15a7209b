/** Guests of a schedule without a host: this decides if a failure is the kernel's own. */
import { describe, expect, it } from 'vitest';
import type { Cpu } from '../../src/guest/perf/kernel.js';
import { addressVm } from '../../src/hw/branch.js';
import type { LogicalProcessor } from '../../src/hw/logical_processor.js';
import { MSR_LBR_SELECT } from '../../src/hw/msr_index.js';
import { findPolicy, POLICIES } from '../../src/host/policy/index.js';
import type { LbrPolicy } from '../../src/host/policy/policy.js';
import { PROPERTY, PROPERTY_NAMES, type PropertyName } from '../../src/judge/properties.js';
import { type Action, ACTIONS } from '../../src/schedule/table.js';
import { actionText } from '../../src/schedule/action_text.js';
import type { MachineConfig, Shape } from '../../src/machine/config.js';
import { drawOf } from '../../src/schedule/draw.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { configAlone, stepBoth } from '../../src/campaign/alone.js';
import { DEFAULT_SHAPES, runCampaign } from '../../src/campaign/campaign.js';
import { ShapeCampaign } from '../../src/campaign/shape_campaign.js';
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

function configOf(name: string, shape: Shape, cpu = 'skylake'): MachineConfig {
  return { shape, model: cpuModel(cpu), kernel: '6.1', policy: policy(name) };
}

/**
 * DEBUGCTL, LBR_SELECT and the records, newest first: the slot of a record says nothing, since an
 * empty stack may have any TOS.
 */
function registersOf(cpu: LogicalProcessor, debugctl: number): string {
  const { lbr_from, lbr_to, lbr_nr } = cpu.model;
  const { tos } = cpu.stack;
  const records = Array.from({ length: lbr_nr }, (_, i) => (tos - i + lbr_nr) % lbr_nr);
  const msrs = [MSR_LBR_SELECT, ...records.flatMap((slot) => [lbr_from + slot, lbr_to + slot])];
  return [debugctl, ...msrs.flatMap((msr) => [cpu.rdmsr(msr), cpu.edx])].join(' ');
}

describe('the machine without a host', () => {
  /** Follows runs for as long as no guest is another; returns how many actions ended suspended. */
  const follow = (name: string, shape: Shape): number => {
    const config = configOf(name, shape, 'haswell');
    const campaign = new ShapeCampaign(config);
    const met = new Bench(config);
    const alone = new Bench(configAlone(config));
    const { broken } = met.monitor.verdicts;
    const { machine } = alone;
    const parted: string[] = [];
    let suspended = 0;
    for (let run = 0; run < 24; run++) {
      campaign.run(drawOf(7, run), 60, null);
      met.boot();
      alone.boot();
      const actions = campaign.lastSchedule.actions();
      const other = (): boolean =>
        broken[PROPERTY['no-loss/any']] !== 0 || broken[PROPERTY['no-fault']] !== 0;
      for (let i = 0; i < actions.length && !other(); i++) {
        const { kind, actor } = actions[i];
        // A raw write is to a slot.
        if (kind === 'wrmsr') break;
        stepBoth(met, alone, campaign.lastSchedule, i);
        // It was taken once: a later action finds none.
        if (ACTIONS[kind].actor === 'vcpu') expect(met.monitor.reference.newTos(actor)).toBe(-1);
        if (ACTIONS[kind].actor === 'pcpu' || other()) continue;
        const { inGuest, vmcs, pcpu } = machine.vcpus[actor];
        const debugctl = inGuest ? machine.pcpus[actor].debugctl : vmcs.guestDebugctl;
        const wanted = met.monitor.reference.of(actor);
        const now = `${pcpu} ${registersOf(machine.pcpus[actor], debugctl)}`;
        const same = `${actor} ${registersOf(wanted, wanted.debugctl)}`;
        if (now !== same) parted.push(...actions.slice(0, i + 1).map(actionText), now, same);
        if (machine.ports[actor].suspended !== 0) suspended++;
      }
      expect(alone.monitor.verdicts.broken.every((bit) => bit === 0)).toBe(true);
      expect(parted).toEqual([]);
    }
    return suspended;
  };

  it.each(POLICIES)('always has the registers of the reference machine, under $name', (one) => {
    const suspended = DEFAULT_SHAPES.map((shape) => follow(one.name, shape));
    expect(Math.max(...suspended)).toBeGreaterThan(0);
  });
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

  const breaker = (
    config: MachineConfig,
    actions: readonly Action[],
    property: PropertyName = 'balanced',
  ): string => breakerOf({ config, property, schedule: Schedule.of(actions), whose: null });

  it('a failure that needs a host is never the kernel’s own', () => {
    const never = { ...configOf('never', TWO_VMS), driver: MISCOUNTS_NONE };
    const wiped = [open, call, run(1), other, run(0), pmi];
    expect(breaker(never, wiped)).toBe('nobody');
    expect(breaker(never, [open, run(1), other, run(0), pmi])).toBe('kernel');
    expect(breaker({ ...never, policy: policy('always') }, wiped)).toBe('nobody');
    expect(breaker(never, [open, pmi])).toBe('kernel');
  });

  it('the kernel’s own failure is seen wherever the top of an empty stack is', () => {
    // An NMI finds a reset half done: whether it finds the old record hangs on the slot.
    const actions: readonly Action[] = [
      open,
      run(1),
      { ...other, args: [-1, 0, CALLSTACK_USER] },
      run(0),
      { kind: 'ret', actor: 0, args: [2] },
      run(1),
      other,
      { kind: 'pmi', actor: 1, args: [0, 20] },
      { ...call, actor: 1 },
      { kind: 'taskSwitch', actor: 1, args: [1] },
    ];
    const config = configOf('v4', TWO_VMS);
    expect(breaker(config, actions, 'no-leak/task')).toBe('kernel');
  });

  it('a campaign never reports a failure that needs a host as the kernel’s own', () => {
    // A CPU without call stacks, where Linux does not lose count by itself.
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
