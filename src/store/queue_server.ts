/** The server of a queue: how it is reached, and what of a campaign lies there beside its units. */
import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import { UsageError, WriteError } from '../console/errors.js';
import type { QueueAddress } from '../console/queue_options.js';
import { ownVersion } from '../console/version.js';
import { printable } from '../recording/trace_error.js';
import type { Asked } from './asked.js';
import type { CodeBytes } from './directory.js';

/** What all keys of vlbr begin with. */
export const PREFIX = 'vlbr';

/** Which campaigns there are: the version of vlbr of each, by its id. */
const CAMPAIGNS = `${PREFIX}:campaigns`;

/** A server that does not answer for so long is not there. */
const CONNECT_MS = 5000;

/** A connection that says nothing for so long is dead. Nothing waits longer than 10 seconds. */
const SILENCE_MS = 30_000;

/** A server that has gone is waited for so long. */
const PATIENCE_MS = 60_000;

/** Between two tries to reach it again. */
export const AGAIN_MS = 1000;

/** What a campaign is for its workers. */
export interface Published {
  /** Made when the campaign was begun; no other has it. */
  readonly id: string;
  readonly asked: Asked;
  readonly code: CodeBytes;
}

export interface ServerOptions {
  /** Says something to the user at once. */
  readonly say: (text: string) => void;
  /** Milliseconds that a server which has gone is waited for. */
  readonly patience_ms?: number;
}

/** A connection to the server. */
export class QueueServer {
  readonly redis: Redis;
  readonly url: string;
  private readonly control = new AbortController();
  private readonly say: (text: string) => void;
  private readonly patience_ms: number;
  /** When it has gone, as `performance.now()`; null while it is there. */
  private goneAt: number | null = null;
  private closed = false;

  private constructor(address: QueueAddress, { say, patience_ms = PATIENCE_MS }: ServerOptions) {
    const { url, ...where } = address;
    this.url = url;
    this.say = say;
    this.patience_ms = patience_ms;
    this.redis = new Redis({
      ...where,
      lazyConnect: true,
      connectTimeout: CONNECT_MS,
      socketTimeout: SILENCE_MS,
      maxRetriesPerRequest: null,
      retryStrategy: () => this.again(),
    });
  }

  /** See `withServer`. */
  static async reach(address: QueueAddress, options: ServerOptions): Promise<QueueServer> {
    const server = new QueueServer(address, options);
    const { redis, url } = server;
    let timer: NodeJS.Timeout | undefined;
    // Until it is ready, the first thing that goes wrong ends it.
    server.goneAt = -Infinity;
    try {
      await new Promise<void>((resolve, reject) => {
        redis.on('error', reject);
        redis.once('ready', resolve);
        const late = `no answer for ${CONNECT_MS / 1000} seconds`;
        timer = setTimeout(() => reject(new Error(late)), CONNECT_MS);
        redis.connect().catch(reject);
      });
    } catch (error) {
      server.close();
      throw isReply(error)
        ? server.explained(error)
        : new UsageError(`the queue ${url} can't be reached: ${printable(messageOf(error))}`);
    } finally {
      clearTimeout(timer);
    }
    server.watch();
    return server;
  }

  /** Aborted once the server has been gone for too long. */
  get lost(): AbortSignal {
    return this.control.signal;
  }

  close(): void {
    this.closed = true;
    this.redis.disconnect();
  }

  /** What to tell the user of an error of the server's or of its connection. */
  explained(error: unknown): unknown {
    if (!isReply(error)) return error;
    return this.refusal(error.message);
  }

  /** @param why - what the server has answered. */
  refusal(why: string): UsageError | WriteError {
    const said = printable(why);
    if (isFull(why)) {
      return new WriteError(
        `the queue ${this.url} is full (${said}): give the server more memory and go on; what ` +
          'was found until now is kept',
      );
    }
    if (why.startsWith('NOAUTH')) {
      return new UsageError(`the queue ${this.url} wants a password; see: vlbr worker --help`);
    }
    return new UsageError(`the queue ${this.url} refuses: ${said}`);
  }

  /** Puts there what workers have to know of a campaign. */
  async publish({ id, asked, code }: Published): Promise<void> {
    const { redis } = this;
    const bytes = [...code].map(([sha256, one]) => [sha256, Buffer.from(one)] as const);
    await redis.hset(
      keyOf(id),
      new Map<string, string | Buffer>([['asked', JSON.stringify(asked)], ...bytes]),
    );
    await redis.hset(CAMPAIGNS, id, ownVersion());
  }

  async withdraw(id: string): Promise<void> {
    await this.redis.del(keyOf(id));
    await this.redis.hdel(CAMPAIGNS, id);
  }

  /** What a campaign is asked; null if it is not there any more. */
  async askedOf(id: string): Promise<Asked | null> {
    const text = await this.redis.hget(keyOf(id), 'asked');
    return text === null ? null : (JSON.parse(text) as Asked);
  }

  /**
   * Compiled code of a campaign; null if it is not there any more.
   *
   * @throws UsageError if it is not what its hash says.
   */
  async codeOf(id: string, sha256: string): Promise<Uint8Array | null> {
    const bytes = await this.redis.hgetBuffer(keyOf(id), sha256);
    if (bytes === null) return null;
    if (createHash('sha256').update(bytes).digest('hex') === sha256) return new Uint8Array(bytes);
    throw new UsageError(`the queue ${this.url} has other code than ${printable(sha256)} says`);
  }

  /** Versions of vlbr whose campaigns are there, but for this one's. */
  async otherVersions(): Promise<string[]> {
    const versions = new Set(await this.redis.hvals(CAMPAIGNS));
    versions.delete(ownVersion());
    return [...versions].map(printable);
  }

  /** Milliseconds until the next try to reach the server; null to give it up. */
  private again(): number | null {
    const gone_ms = this.goneAt === null ? 0 : performance.now() - this.goneAt;
    return this.closed || gone_ms > this.patience_ms ? null : AGAIN_MS;
  }

  private watch(): void {
    const { redis, url } = this;
    this.goneAt = null;
    redis.removeAllListeners('error');
    // What is wrong with a connection ends it, and is heard of there.
    redis.on('error', () => {});
    redis.on('close', () => {
      if (this.goneAt !== null || this.closed) return;
      this.goneAt = performance.now();
      const most_s = this.patience_ms / 1000;
      this.say(`vlbr: the queue ${url} is gone; it is waited for up to ${most_s} seconds`);
    });
    redis.on('ready', () => {
      this.goneAt = null;
      this.say(`vlbr: the queue ${url} is back`);
    });
    redis.on('end', () => {
      if (this.closed) return;
      this.say(`vlbr: the queue ${url} does not come back; ending with what is known`);
      this.control.abort();
    });
  }
}

/**
 * Connects to a server for a piece of work.
 *
 * @throws UsageError if it can't be reached, or refuses. @throws WriteError if it is full.
 */
export async function withServer<T>(
  address: QueueAddress,
  options: ServerOptions,
  work: (server: QueueServer) => Promise<T>,
): Promise<T> {
  const server = await QueueServer.reach(address, options);
  try {
    return await work(server);
  } catch (error) {
    throw server.explained(error);
  } finally {
    server.close();
  }
}

/** Key of a hash with what workers have to know of a campaign. */
function keyOf(id: string): string {
  return `${PREFIX}:campaign:${id}`;
}

/** Whether an error is an answer of the server's, and not a connection's. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

/** Whether the server says that its memory is full. */
export function isFull(why: string): boolean {
  return why.startsWith('OOM');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
