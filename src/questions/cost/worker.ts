/** A worker thread of `vlbr cost`: plays the recordings under one policy, with each profile. */
import type { Job } from '../../console/worker.js';
import { type Judge, judgeBy } from '../../console/worker.js';
import { drawOf } from '../../schedule/draw.js';
import { type Counts, Ledger } from './ledger.js';
import type { Profile } from './profile.js';
import { GUEST_TASKS, type Played, Workload } from './workload.js';

/** A recording as a worker needs it. */
export interface PlayedHost extends Played {
  readonly vcpus: number;
}

export interface CostJob extends Job {
  readonly seed: number;
  readonly hosts: readonly PlayedHost[];
  readonly profiles: readonly Profile[];
}

export interface CostProgress {
  readonly policy: string;
  readonly done: number;
  readonly wanted: number;
}

/** What one recording with one profile has cost. */
export interface PlayedResult {
  readonly host: number;
  readonly profile: number;
  /** Per vCPU of the recording. */
  readonly counts: readonly Counts[];
  /** Nanoseconds that each has run. */
  readonly ran: readonly number[];
  /** Whether it was played to its end. */
  readonly complete: boolean;
}

export interface PolicyResult {
  readonly policy: string;
  readonly results: readonly PlayedResult[];
}

export const judge: Judge<CostJob, CostProgress, PolicyResult> = judgeBy((job, named, tell) => {
  const { policy, model, driver } = named;
  const { hosts, profiles, kernel, seed } = job;
  const wanted = profiles.length * hosts.reduce((sum, { steps }) => sum + steps.length, 0);
  const results: PlayedResult[] = [];
  let done = 0;
  let goesOn = true;
  for (const [h, host] of hosts.entries()) {
    for (const [p, profile] of profiles.entries()) {
      if (!goesOn) continue;
      // Each vCPU is the only one of its VM.
      const shape = { vms: host.vcpus, vcpus: 1, tasks: GUEST_TASKS, pcpus: host.pcpus };
      const ledger = new Ledger({ shape, model, kernel, policy, driver });
      // The same draws under every policy, of every recording and with every profile.
      const workload = new Workload(ledger, profile, drawOf(seed, 0), host);
      for (const steps of workload.play()) {
        goesOn = tell({ policy: policy.name, done: done + steps, wanted });
        if (!goesOn) break;
      }
      done += host.steps.length;
      results.push({
        host: h,
        profile: p,
        counts: ledger.counts,
        ran: workload.ran,
        complete: goesOn,
      });
    }
  }
  return { policy: policy.name, results };
});
