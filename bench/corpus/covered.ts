/**
 * What runs cover: pairs of a risky situation and a property that are met in one run, and places
 * of a guest's kernel at which something interrupts it.
 */
import type { Bench } from '../../src/campaign/trial.js';
import type { Observer } from '../../src/host/observer.js';
import { MSR_LBR_INFO_0, MSR_LBR_NHM_FROM, MSR_LBR_NHM_TO } from '../../src/hw/msr_index.js';
import { PROPERTIES, REACH, REACH_NAMES } from '../../src/judge/properties.js';

/** MSRs of a stack lie in a row, and are accessed in a loop: they are one site. */
const STACKS: readonly number[] = [MSR_LBR_NHM_FROM, MSR_LBR_NHM_TO, MSR_LBR_INFO_0];
const DEPTH_MOST = 32;

/** By property, the situation without which it says nothing. */
const RISK = PROPERTIES.map(({ reach }) => REACH[reach]);

/** All that runs have covered. */
export interface Seen {
  /** By situation, property, and how the property was met (HOW). */
  readonly pairs: Uint8Array;
  readonly sites: Set<number>;
}

/** A property is only judged, or is broken by the policy, or by the kernel. */
const HOW = { judged: 0, broken: 1, own: 2 };
const HOWS = 3;

/** What interrupts. */
const SWITCH = 0;
const PMI = 1;

/** What no run has added to yet. */
export function nothingSeen(): Seen {
  return { pairs: new Uint8Array(REACH_NAMES.length * RISK.length * HOWS), sites: new Set() };
}

function siteOf(msr: number): number {
  return STACKS.find((first) => msr >= first && msr < first + DEPTH_MOST) ?? msr;
}

/** Watches the runs of a machine, and says what they cover that no run has covered before. */
export class Covered {
  private readonly bench: Bench;
  private readonly seen: Seen;
  /** Per vCPU: the MSR that the kernel function under way there has accessed last, or 0. */
  private readonly last: Int32Array;
  /** Reach counters as the run began, and which of them have changed since. */
  private readonly before: Float64Array = new Float64Array(REACH_NAMES.length);
  private readonly met: Uint8Array = new Uint8Array(REACH_NAMES.length);
  private isNew = false;

  /** @param seen - takes what is covered; machines may share it. */
  constructor(bench: Bench, seen: Seen) {
    this.bench = bench;
    this.seen = seen;
    this.last = new Int32Array(bench.machine.vcpus.length);
    this.listen();
  }

  /** Hears what the monitor hears. */
  private listen(): void {
    const { last } = this;
    const { monitor } = this.bench;
    const heard = {
      guestCall: monitor.guestCall.bind(monitor),
      guestRead: monitor.guestRead.bind(monitor),
      guestWrite: monitor.guestWrite.bind(monitor),
      guestPmi: monitor.guestPmi.bind(monitor),
      vcpuSwitch: monitor.vcpuSwitch.bind(monitor),
    };
    const both: Pick<Observer, keyof typeof heard> = {
      guestCall: (vcpu, fn, a, b) => {
        last[vcpu] = 0;
        heard.guestCall(vcpu, fn, a, b);
      },
      guestRead: (vcpu, msr, eax, edx) => {
        last[vcpu] = msr;
        heard.guestRead(vcpu, msr, eax, edx);
      },
      guestWrite: (vcpu, msr, eax, edx) => {
        last[vcpu] = msr;
        heard.guestWrite(vcpu, msr, eax, edx);
      },
      guestPmi: (vcpu, counter) => {
        this.interrupted(vcpu, PMI);
        heard.guestPmi(vcpu, counter);
      },
      vcpuSwitch: (vcpu, pcpu, scheduledIn) => {
        if (!scheduledIn) this.interrupted(vcpu, SWITCH);
        heard.vcpuSwitch(vcpu, pcpu, scheduledIn);
      },
    };
    Object.assign(monitor, both);
  }

  private interrupted(vcpu: number, by: number): void {
    const fn = this.bench.machine.ports[vcpu].suspended;
    const { sites } = this.seen;
    const site = (siteOf(this.last[vcpu]) * 256 + fn) * 2 + by;
    if (fn === 0 || sites.has(site)) return;
    sites.add(site);
    this.isNew = true;
  }

  /** Must be called when a run begins. */
  begin(): void {
    this.before.set(this.bench.monitor.verdicts.reach);
    this.met.fill(0);
    this.isNew = false;
  }

  /** Whether the last action has covered anything new. */
  news(): boolean {
    const { before, met } = this;
    const { verdicts } = this.bench.monitor;
    let more = verdicts.news;
    for (let i = 0; i < met.length; i++) {
      if (met[i] !== 0 || verdicts.reach[i] === before[i]) continue;
      met[i] = 1;
      more = true;
    }
    if (more) this.coverPairs();
    verdicts.news = false;
    const { isNew } = this;
    this.isNew = false;
    return isNew;
  }

  /** Notes each situation and each property that the run has met so far, together. */
  private coverPairs(): void {
    const { met, seen } = this;
    const { broken, own } = this.bench.monitor.verdicts;
    for (let p = 0; p < RISK.length; p++) {
      const how = broken[p] !== 0 ? HOW.broken : own[p] !== 0 ? HOW.own : HOW.judged;
      if (how === HOW.judged && met[RISK[p]] === 0) continue;
      for (let s = 0; s < met.length; s++) {
        const pair = (s * RISK.length + p) * HOWS + how;
        if (met[s] === 0 || seen.pairs[pair] !== 0) continue;
        seen.pairs[pair] = 1;
        this.isNew = true;
      }
    }
  }
}
