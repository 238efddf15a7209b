/** A worker of a queue: it does units of any campaign of its version of vlbr, in threads. */
import { hostname } from 'node:os';
import { type Job, WaitingError, Worker } from 'bullmq';
import { UsageError, WorkerBug } from '../console/errors.js';
import { threadsFor } from '../console/pool.js';
import { plural } from '../console/text.js';
import { ownVersion } from '../console/version.js';
import { type Subject, subjectsOf } from './asked.js';
import {
  END_MS,
  noLongerThan,
  queueName,
  type QueuedUnit,
  type UnitReply,
  workerName,
} from './queue.js';
import { AGAIN_MS, isReply, PREFIX, type QueueServer } from './queue_server.js';
import { type DoUnit, jobOf, type Threads, withUnitThreads } from './threads.js';
import type { UnitJob } from './worker.js';

/** A worker that is silent for so long is lost, and another one gets the unit that it was at. */
const LOCK_MS = 6000;

/** Between two looks whether a worker is lost. */
const STALLED_MS = 3000;

/** So many workers may be lost over one unit. After that, it is likely to be the unit. */
const LOST_MOST = 20;

/** Results stay so long for an owner that does not come back. */
const KEPT_S = 7 * 24 * 3600;

/** Campaigns that a worker remembers. Their code may be large. */
const REMEMBERED = 4;

/** Between two looks for campaigns of other versions. */
const VERSIONS_MS = 5000;

/**
 * Does units until it is interrupted, or the server has been gone for too long. What it is at is
 * given back then.
 *
 * Returns the number of units that were done.
 * @throws UsageError, WriteError if the server refuses what a worker has to do.
 */
export async function workAt(server: QueueServer, threads: Threads): Promise<number> {
  let units = 0;
  await withUnitThreads(threads, async (doUnit, interrupted) => {
    const [concurrency, say] = [threadsFor(threads.jobs), threads.line.say];
    units = await serve(server, { doUnit, concurrency, interrupted, say });
  });
  return units;
}

/** Who does the units, and how many at a time. */
export interface Hands {
  readonly doUnit: DoUnit;
  readonly concurrency: number;
  readonly interrupted: AbortSignal;
  readonly say: (text: string) => void;
}

/** Does units as `workAt` does, by any hands. */
export async function serve(
  server: QueueServer,
  { doUnit, concurrency, interrupted, say }: Hands,
): Promise<number> {
  const name = `${hostname()}-${process.pid}`;
  const campaigns = new Campaigns(server);
  const perform = async (job: Job<QueuedUnit, UnitReply>, token?: string): Promise<UnitReply> => {
    const reply = await replyTo(job.data, campaigns, doUnit);
    if (reply !== null) return reply;
    await job.moveToWait(token);
    throw new WaitingError();
  };
  const worker = new Worker<QueuedUnit, UnitReply>(queueName(), perform, {
    connection: server.redis,
    prefix: PREFIX,
    concurrency,
    name: workerName(name, concurrency),
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_MS,
    maxStalledCount: LOST_MOST,
    runRetryDelay: AGAIN_MS,
    removeOnComplete: { age: KEPT_S },
  });
  let units = 0;
  worker.on('completed', () => units++);
  const versions = new OtherVersions(server, say);
  const timer = setInterval(versions.look, VERSIONS_MS);
  let refused = false;
  try {
    await new Promise<void>((resolve, reject) => {
      // What a connection meets is heard of at the server's. A lock that was lost is no error:
      // somebody else does the unit.
      worker.on('error', (error) => {
        refused ||= isReply(error);
        if (refused) reject(server.explained(error));
      });
      for (const end of [interrupted, server.lost]) end.addEventListener('abort', () => resolve());
      if (interrupted.aborted) resolve();
      say(`vlbr: worker ${name} is at ${server.url}, with ${plural(concurrency, 'thread')}`);
      versions.look();
    });
    return units;
  } finally {
    clearInterval(timer);
    await noLongerThan(END_MS, worker.close(refused || server.lost.aborted));
  }
}

/** Says once of each other version of vlbr that units of it are left alone. */
class OtherVersions {
  private readonly server: QueueServer;
  private readonly say: (text: string) => void;
  private readonly told: Set<string> = new Set();

  constructor(server: QueueServer, say: (text: string) => void) {
    this.server = server;
    this.say = say;
  }

  readonly look = (): void => {
    void this.server.otherVersions().then(this.tell, () => {});
  };

  private readonly tell = (versions: readonly string[]): void => {
    for (const version of versions.filter((one) => !this.told.has(one))) {
      this.told.add(version);
      this.say(
        `vlbr: ${this.server.url} has units of vlbr ${version}: this is vlbr ${ownVersion()}, ` +
          'and leaves them for workers of that one',
      );
    }
  };
}

/** What comes of a unit; null if it was told to end before its end. */
async function replyTo(
  { campaign, subject, unit }: QueuedUnit,
  campaigns: Campaigns,
  doUnit: DoUnit,
): Promise<UnitReply | null> {
  try {
    const found = await campaigns.get(campaign);
    if (found === null) return { kind: 'no campaign' };
    const { of, job } = found[subject];
    const done = await doUnit(job, of, unit);
    return done === null ? null : { kind: 'done', done };
  } catch (error) {
    if (error instanceof UsageError) return { kind: 'usage', message: error.message };
    if (!(error instanceof WorkerBug)) throw error;
    const { stack = '', advice, inKernel } = error;
    return { kind: 'bug', stack, advice, inKernel };
  }
}

/** What a worker has to know of each subject of a campaign. */
type Known = readonly { readonly of: Subject; readonly job: UnitJob }[];

/** The last campaigns that a worker has heard of. */
class Campaigns {
  private readonly server: QueueServer;
  private readonly known: Map<string, Promise<Known | null>> = new Map();

  constructor(server: QueueServer) {
    this.server = server;
  }

  /** Null if there is no such campaign any more. @throws UsageError for code that is not right. */
  async get(id: string): Promise<Known | null> {
    const asked = this.known.get(id) ?? this.fetched(id);
    this.known.set(id, asked);
    for (const old of [...this.known.keys()].slice(0, -REMEMBERED)) this.known.delete(old);
    let found: Known | null = null;
    try {
      found = await asked;
    } finally {
      if (found === null) this.known.delete(id);
    }
    return found;
  }

  private async fetched(id: string): Promise<Known | null> {
    const { server } = this;
    const asked = await server.askedOf(id);
    if (asked === null) return null;
    const jobs = await Promise.all(
      asked.targets.map(async (target) => {
        const { code } = target;
        const bytes = code === null ? null : await server.codeOf(id, code);
        return {
          target,
          job: jobOf(asked, target, bytes),
          isThere: code === null || bytes !== null,
        };
      }),
    );
    if (!jobs.every(({ isThere }) => isThere)) return null;
    return subjectsOf(asked).flatMap((of) =>
      jobs.filter(({ target }) => target === of.target).map(({ job }) => ({ of, job })),
    );
  }
}
