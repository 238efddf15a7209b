/**
 * A crew of workers behind a queue: the owner's side. A unit is a job of BullMQ's, whose id follows
 * from the unit alone. So an owner may ask for the same unit as often as it wants to: after it was
 * killed, after the server was gone, or when it has heard nothing for a while.
 */
import { createHash } from 'node:crypto';
import { Queue, QueueEvents } from 'bullmq';
import { UsageError, WorkerBug } from '../console/errors.js';
import { Interrupt } from '../console/interrupt.js';
import type { ProgressLine } from '../console/progress.js';
import { plural } from '../console/text.js';
import { ownVersion } from '../console/version.js';
import { printable } from '../recording/trace_error.js';
import { subjectsOf } from './asked.js';
import type { Crew } from './owner.js';
import { isFull, isReply, PREFIX, type Published, type QueueServer } from './queue_server.js';
import type { Unit, UnitDone } from './unit.js';

/** A unit, as it lies in a queue. */
export interface QueuedUnit {
  /** Id of its campaign. */
  readonly campaign: string;
  /** Index of its subject. */
  readonly subject: number;
  readonly unit: Unit;
}

/** What a worker says of a unit. */
export type UnitReply =
  | { readonly kind: 'done'; readonly done: UnitDone }
  /** There was no such campaign when the worker looked for it. */
  | { readonly kind: 'no campaign' }
  | { readonly kind: 'usage'; readonly message: string }
  | {
      readonly kind: 'bug';
      readonly stack: string;
      readonly advice: readonly string[];
      readonly inKernel: boolean;
    };

/** The queue of this version of vlbr: a worker of another one never sees its units. */
export function queueName(): string {
  return `units of ${ownVersion()}`;
}

/** Units that lie in the queue though no worker is seen: it may be that workers can't be seen. */
const AT_ONCE_LEAST = 8;

/** An event may be missed, as while the server is gone: after so long, everything is looked at. */
const LOOK_MS = 10_000;

/** Between two looks at who works. */
const WORKERS_MS = 2000;

/** Giving or taking units back takes no longer when the work ends. */
export const END_MS = 5000;

/** The server keeps about so many events, each with what a unit came to. */
const EVENTS = 100;

/**
 * Has units done by workers behind a queue, until the work is done, is interrupted, or the server
 * has been gone for too long.
 *
 * @param work - gives units to the crew.
 * Returns whether it was cut short.
 * @throws WorkerBug, UsageError as a worker tells them.
 */
export async function withQueue(
  campaign: Published,
  server: QueueServer,
  line: ProgressLine<unknown>,
  work: (crew: Crew) => Promise<void>,
): Promise<boolean> {
  const interrupt = new Interrupt(line);
  const ended = AbortSignal.any([interrupt.signal, server.lost]);
  const crew = new QueueCrew(campaign, server, line, ended);
  try {
    await crew.begin();
    await work(crew);
    return ended.aborted;
  } finally {
    await crew.end();
    interrupt.end();
  }
}

class QueueCrew implements Crew {
  private readonly campaign: Published;
  private readonly server: QueueServer;
  private readonly line: ProgressLine<unknown>;
  private readonly stopped: AbortSignal;
  private readonly queue: Queue<QueuedUnit, UnitReply>;
  private readonly events: QueueEvents;
  /** What wakes who waits for a unit, by the id of its job. */
  private readonly waiting: Map<string, () => void> = new Map();
  private readonly timers: NodeJS.Timeout[] = [];
  /** Threads of each worker that is there, by its name. */
  private workers: ReadonlyMap<string, number> = new Map();

  constructor(
    campaign: Published,
    server: QueueServer,
    line: ProgressLine<unknown>,
    stopped: AbortSignal,
  ) {
    this.campaign = campaign;
    this.server = server;
    this.line = line;
    this.stopped = stopped;
    const how = { connection: server.redis, prefix: PREFIX };
    this.queue = new Queue(queueName(), { ...how, streams: { events: { maxLen: EVENTS } } });
    // From the first that is kept: none falls between two reads.
    this.events = new QueueEvents(queueName(), { ...how, lastEventId: '0' });
  }

  get atOnce(): number {
    const threads = [...this.workers.values()].reduce((sum, n) => sum + n, 0);
    return Math.max(AT_ONCE_LEAST, 2 * threads);
  }

  get ended(): boolean {
    return this.stopped.aborted;
  }

  async begin(): Promise<void> {
    const { queue, events, server } = this;
    // What a connection meets is heard of at the server's.
    queue.on('error', () => {});
    events.on('error', () => {});
    const wake = ({ jobId }: { readonly jobId: string }): void => this.waiting.get(jobId)?.();
    events.on('completed', wake).on('failed', wake);
    this.stopped.addEventListener('abort', this.wakeAll);
    await server.publish(this.campaign);
    await events.waitUntilReady();
    server.redis.on('ready', this.comeBack);
    this.timers.push(setInterval(this.wakeAll, LOOK_MS));
    await this.countWorkers();
    if (this.workers.size === 0) {
      this.line.say(
        `vlbr: no worker is at the queue yet; start some by: vlbr worker --queue ${server.url}`,
      );
    }
    this.timers.push(setInterval(() => void this.countWorkers(), WORKERS_MS));
  }

  async do(subject: number, unit: Unit): Promise<UnitDone | null> {
    const data = { campaign: this.campaign.id, subject, unit };
    const id = jobIdOf(data);
    while (!this.ended) {
      const woken = new Promise<void>((wake) => this.waiting.set(id, wake));
      // A look follows each wake-up.
      // oxlint-disable-next-line no-await-in-loop
      const reply = await this.unlessStopped(this.look(id, data));
      if (reply?.kind === 'no campaign') continue;
      if (reply !== null) {
        this.waiting.delete(id);
        return doneOf(reply);
      }
      // oxlint-disable-next-line no-await-in-loop
      await woken;
    }
    return null;
  }

  /** Puts a unit into the queue if it is not there, and takes its result if there is one. */
  private async look(id: string, data: QueuedUnit): Promise<UnitReply | null> {
    try {
      const job = await this.queue.getJob(id);
      if (job === undefined) await this.queue.add('unit', data, { jobId: id });
      if (job?.finishedOn === undefined) return null;
      await job.remove();
      return job.failedReason ? this.failed(data, job.failedReason) : job.returnvalue;
    } catch (error) {
      if (isReply(error) || error instanceof UsageError) throw error;
      // The connection has gone, and there will be another look.
      return null;
    }
  }

  private failed({ subject }: QueuedUnit, why: string): never {
    if (isFull(why)) throw this.server.refusal(why);
    const { policy, cpu } = subjectsOf(this.campaign.asked)[subject];
    throw new UsageError(
      `a unit of ${policy} on ${cpu} is given up at the queue, since each worker that has begun ` +
        `it was lost (${printable(why)}): look whether the workers have enough memory, and go on`,
    );
  }

  /** What work comes to; null if all is to end first, as while the server is gone. */
  private unlessStopped<T>(work: Promise<T>): Promise<T | null> {
    const { stopped } = this;
    return new Promise((resolve, reject) => {
      const stop = (): void => resolve(null);
      stopped.addEventListener('abort', stop);
      work.then(resolve, reject).finally(() => stopped.removeEventListener('abort', stop));
    });
  }

  private readonly wakeAll = (): void => {
    for (const wake of this.waiting.values()) wake();
  };

  /** A server that was gone may have forgotten everything. */
  private readonly comeBack = (): void => {
    void this.server.publish(this.campaign).then(this.wakeAll, () => {});
  };

  private async countWorkers(): Promise<void> {
    const found = await this.queue.getWorkers().catch(() => []);
    const workers = new Map(found.flatMap(({ rawname = '' }) => workerOf(rawname)));
    for (const [name, threads] of notIn(this.workers, workers)) {
      this.line.say(`vlbr: worker ${name} has joined, with ${plural(threads, 'thread')}`);
    }
    for (const [name] of notIn(workers, this.workers)) {
      this.line.say(`vlbr: worker ${name} has left`);
    }
    this.workers = workers;
  }

  /** Takes back what nobody has begun, unless the server is gone. */
  async end(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    this.server.redis.off('ready', this.comeBack);
    this.stopped.removeEventListener('abort', this.wakeAll);
    const { queue, events, server, campaign } = this;
    const back = async (): Promise<void> => {
      await Promise.all([...this.waiting.keys()].map((id) => queue.remove(id)));
      await server.withdraw(campaign.id);
      await queue.trimEvents(0);
    };
    if (!server.lost.aborted) await noLongerThan(END_MS, back());
    await noLongerThan(END_MS, Promise.allSettled([events.close(), queue.close()]));
  }
}

/** Waits for work whose end does not matter, and not for ever. */
export async function noLongerThan(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([work.catch(() => {}), late]);
  clearTimeout(timer);
}

/** The same for the same unit, whoever asks for it and when. */
function jobIdOf({ campaign, subject, unit }: QueuedUnit): string {
  const hash = createHash('sha256').update(JSON.stringify(unit)).digest('hex');
  return `${campaign}-${subject}-${hash}`;
}

function doneOf(reply: Exclude<UnitReply, { kind: 'no campaign' }>): UnitDone {
  switch (reply.kind) {
    case 'done':
      return reply.done;
    case 'usage':
      throw new UsageError(reply.message);
    case 'bug':
      throw new WorkerBug(reply.stack, reply.advice, reply.inKernel);
  }
}

/** The entries of a map whose keys another one does not have. */
function notIn<T>(others: ReadonlyMap<string, T>, all: ReadonlyMap<string, T>): [string, T][] {
  return [...all].filter(([key]) => !others.has(key));
}

/** Name of a worker with so many threads, which owners see. */
export function workerName(name: string, threads: number): string {
  return `${name.replace(/[^\w.-]/g, '_')}x${threads}`;
}

/** The worker that a connection is of, and its threads; nothing if it is none's. */
function workerOf(connection: string): [string, number][] {
  const [, name, threads] = /:w:(.*)x(\d{1,4})$/.exec(connection) ?? [];
  return name === undefined ? [] : [[printable(name), Number(threads)]];
}
