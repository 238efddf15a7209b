/**
 * Who runs on a machine: its policy's hooks and its kernels' LBR drivers tell when they do, and C
 * code of a whole tree when it accesses an MSR.
 */
import type { Kernel } from '../guest/perf/kernel.js';
import { driverOf } from '../guest/perf/kernel.js';
import type { DriverKind, LbrDriver } from '../guest/perf/lbr_driver.js';
import { HOOK_NAMES, type HookName as PolicyHook } from '../host/policy/guarded.js';
import type { LbrPolicy } from '../host/policy/policy.js';
import type { MachineConfig } from '../machine/config.js';

/**
 * Code of a machine: a hook of the policy, a function of some kernel's perf, one of the KVM of a
 * tree, or hardware.
 */
export interface Actor {
  readonly who: 'hook' | 'perf' | 'kvm' | 'hardware';
  /** Name of the hook or the function; empty for hardware. */
  readonly name: string;
  /** The kernel whose function it is; null if it is none's. */
  readonly kernel: Kernel | null;
  /** The CPU that it runs on, as its kernel numbers it; the vCPU that a hook is about; or -1. */
  readonly cpu: number;
}

export const HARDWARE: Actor = { who: 'hardware', name: '', kernel: null, cpu: -1 };

/** Questions to a policy, which change nothing. */
const QUESTIONS = ['inUse', 'recordsStale', 'listsDebugctl'] as const;

/** A hook of a policy that is told of. */
export type HookName = Exclude<PolicyHook, (typeof QUESTIONS)[number]>;

function isTold(name: PolicyHook): name is HookName {
  return !QUESTIONS.some((question) => question === name);
}

const HOOKS: readonly HookName[] = HOOK_NAMES.filter(isTold);

/** Functions of a driver that are told of. */
const FUNCTIONS: readonly Exclude<keyof LbrDriver, 'boot'>[] = [
  'intel_pmu_lbr_add',
  'intel_pmu_lbr_del',
  'intel_pmu_lbr_enable_all',
  'intel_pmu_lbr_disable_all',
  'intel_pmu_lbr_read',
  'intel_pmu_lbr_reset',
  'intel_pmu_lbr_sched_task',
  'intel_pmu_lbr_swap_task_ctx',
  'intel_pmu_setup_lbr_filter',
];

/** Hears of the code that runs. A hook may call perf; `leaves` then comes for perf first. */
export interface RunningHears {
  enters(actor: Actor): void;
  /** @param result - what a hook has returned. */
  leaves(actor: Actor, result: unknown): void;
  /** As `accesses` of DriverKind: codeUnderWay() says which code. */
  accesses(kernel: Kernel, cpu: number): void;
}

type AnyFunction = (...args: readonly unknown[]) => unknown;

function telling(
  call: AnyFunction,
  self: object,
  actorOf: (args: readonly unknown[]) => Actor,
  hears: RunningHears,
): AnyFunction {
  return (...args) => {
    const actor = actorOf(args);
    hears.enters(actor);
    let result: unknown;
    try {
      result = Reflect.apply(call, self, args);
    } finally {
      hears.leaves(actor, result);
    }
    return result;
  };
}

/** perf saves or restores at a switch where the task has a place for it, and says so by name. */
function driverFunction(name: string, args: readonly unknown[]): string {
  const [, context, schedIn] = args;
  if (name !== 'intel_pmu_lbr_sched_task' || context === null) return name;
  return schedIn === true ? '__intel_pmu_lbr_restore' : '__intel_pmu_lbr_save';
}

function tellingPolicy(policy: LbrPolicy, hears: RunningHears): LbrPolicy {
  const hooks = HOOKS.filter((name) => policy[name] !== undefined).map((name) => {
    const actorOf = ([, about, loaded]: readonly unknown[]): Actor => {
      const vcpu = name === 'host_perf_event' ? loaded : about;
      const { id = -1 } = (vcpu ?? {}) as { readonly id?: number };
      return { who: 'hook', name, kernel: null, cpu: id };
    };
    return [name, telling(policy[name] as AnyFunction, policy, actorOf, hears)] as const;
  });
  return { ...policy, ...Object.fromEntries(hooks) };
}

function tellingDriver(kind: DriverKind, hears: RunningHears): DriverKind {
  const create: DriverKind['create'] = (kernel, memory) => {
    const driver = kind.create(kernel, memory);
    const functions = FUNCTIONS.map((name) => {
      const actorOf = (args: readonly unknown[]): Actor => {
        const [first] = args as readonly { readonly id?: number }[];
        const cpu = first?.id ?? 0;
        return { who: 'perf', name: driverFunction(name, args), kernel, cpu };
      };
      return [name, telling(driver[name] as AnyFunction, driver, actorOf, hears)] as const;
    });
    return { boot: () => driver.boot(), ...Object.fromEntries(functions) } as LbrDriver;
  };
  return { ...kind, create, accesses: (kernel, cpu) => hears.accesses(kernel, cpu) };
}

/** The same machine, whose code tells when it runs. */
export function tellingConfig(config: MachineConfig, hears: RunningHears): MachineConfig {
  const driver = tellingDriver(driverOf(config), hears);
  return { ...config, policy: tellingPolicy(config.policy, hears), driver };
}
