/** The kernels of commits, and what schedules do on them. */
import type { Progress } from '../../campaign/campaign.js';
import type { Comparison } from '../../campaign/compare.js';
import { DEFAULT_SHAPES } from '../../campaign/campaign.js';
import { type ReplayCase, tokenOf } from '../../campaign/replay_file.js';
import type { Breaking } from '../../campaign/side.js';
import { UsageError, WorkerBug } from '../../console/errors.js';
import type { Interrupt } from '../../console/interrupt.js';
import { codeOfImage, type KernelCode } from '../../console/kernel_source.js';
import { inWorkers } from '../../console/pool.js';
import { NO_LINE } from '../../console/progress.js';
import { grouped } from '../../console/text.js';
import { KernelError } from '../../tree/errors.js';
import { CommitImages } from '../../tree/image/commits.js';
import type { Range, SmallCampaign } from './bisect_asked.js';
import type { Ending } from './bisect_ending.js';
import type { LossJob } from './bisect_loss_worker.js';
import type { EndingJob } from './bisect_worker.js';

/** The build puts the code of workers beside this. */
const ENDING_WORKER: URL = new URL('./bisect_worker.js', import.meta.url);
const LOSS_WORKER: URL = new URL('./bisect_loss_worker.js', import.meta.url);

/** A run takes milliseconds. A kernel that is silent for so long is in an endless loop. */
const SILENCE_MS = 15_000;

/** What is being done, and how many commits are judged, of about how many. */
export interface Doing {
  readonly doing: string;
  readonly judged: number;
  readonly wanted: number;
}

/** Builds the kernels of a repository's commits, and runs schedules on them. */
export class Kernels {
  private readonly images: CommitImages;
  private readonly interrupt: Interrupt<Doing>;
  private readonly jobs: number | undefined;

  constructor({ repository }: Range, kvm: boolean, interrupt: Interrupt<Doing>, jobs?: number) {
    this.images = new CommitImages(repository, { kvm, signal: interrupt.signal });
    this.interrupt = interrupt;
    this.jobs = jobs;
  }

  /** The files of the tree that any kernel so far was made of. */
  get files(): readonly string[] {
    return this.images.files;
  }

  /**
   * Builds the kernel of a commit. Returns null if that was interrupted.
   *
   * @throws KernelError when it can't be built.
   */
  async at(hash: string): Promise<KernelCode | null> {
    try {
      return codeOfImage(await this.images.at(hash));
    } catch (error) {
      if (this.interrupt.interrupted) return null;
      throw error;
    }
  }

  /** How a schedule ends on a kernel; null if that was interrupted. */
  async ending(code: KernelCode, replay: ReplayCase, by: Breaking): Promise<Ending | null> {
    const { model, policy, kernel } = replay.config;
    const token = tokenOf(replay);
    const names = { cpus: [model.name], policies: [policy.name], kernel };
    const job: EndingJob = { ...names, binary: code.bytes, token, by };
    const work = { worker: ENDING_WORKER, job, silence_ms: SILENCE_MS, advice: () => [] };
    try {
      const { results } = await inWorkers<EndingJob, { policy: string }, Ending>(work, NO_LINE);
      return results[0] ?? null;
    } catch (error) {
      return { kind: 'skipped', why: reasonOf(error) };
    }
  }

  /** What one kernel loses against another; null if that was interrupted. */
  async losses(
    before: KernelCode,
    after: KernelCode,
    campaign: SmallCampaign,
  ): Promise<readonly Comparison[] | null> {
    const { policies, properties, cpu, runs, seed } = campaign;
    const job: LossJob = {
      cpus: [cpu],
      kernel: '6.1',
      shapes: DEFAULT_SHAPES,
      policies,
      properties,
      runs,
      seed,
      schedules: [],
      binary: after.bytes,
      before: before.bytes,
    };
    const most = this.jobs === undefined ? {} : { jobs: this.jobs };
    const work = { worker: LOSS_WORKER, job, silence_ms: SILENCE_MS, advice: () => [], ...most };
    const line = { ...NO_LINE, update: (all: readonly Progress[]) => this.show(all, campaign) };
    const done = await inWorkers<LossJob, Progress, Comparison>(work, line);
    return done.interrupted ? null : done.results;
  }

  private show(all: readonly Progress[], { policies, runs }: SmallCampaign): void {
    const done = all.reduce((sum, progress) => sum + progress.runs, 0);
    const doing = `${grouped(done)} of ${grouped(runs * policies.length)} runs on both`;
    this.interrupt.show({ doing, judged: 0, wanted: 1 });
  }
}

/**
 * Why nothing can be said of a kernel, in a line.
 *
 * @throws what is a bug of vlbr.
 */
export function reasonOf(error: unknown): string {
  if (error instanceof KernelError || error instanceof UsageError) {
    return error.message.split('\n')[0];
  }
  if (error instanceof WorkerBug && error.inKernel) {
    return `it crashes: ${(error.stack ?? '').split('\n')[0]}`;
  }
  throw error;
}
