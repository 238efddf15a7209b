/** Both sides of a queue in one process, with hands that only say that they were asked. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { UsageError, WorkerBug, WriteError } from '../../src/console/errors.js';
import type { ProgressLine } from '../../src/console/progress.js';
import { queueAddress } from '../../src/console/queue_options.js';
import { ownVersion } from '../../src/console/version.js';
import type { Asked, Target } from '../../src/store/asked.js';
import type { Crew } from '../../src/store/owner.js';
import { queueName, withQueue } from '../../src/store/queue.js';
import { type Published, type QueueServer, withServer } from '../../src/store/queue_server.js';
import { type Hands, serve } from '../../src/store/queue_worker.js';
import type { RunsUnit, UnitDone } from '../../src/store/unit.js';
import { freePort, hasRedis, startRedis, type TestRedis } from '../rig/redis.js';

const CODE = new Uint8Array([0, 97, 115, 109]);
const SHA256 = createHash('sha256').update(CODE).digest('hex');

const PORT: Target = { name: '7.3', kernel: '7.3', version: '7.3', code: null, words: [] };
const COMPILED: Target = { ...PORT, name: 'tree', code: SHA256 };

const ASKED: Asked = {
  targets: [PORT, COMPILED],
  cpus: ['skylake'],
  policies: ['parked'],
  properties: ['no-fault'],
  shapes: [{ vms: 2, vcpus: 1, tasks: 2, pcpus: 1 }],
  without: [],
  runs: 40,
  unitRuns: 10,
  seed: 1,
  shorten: false,
};

const CAMPAIGN: Published = { id: 'one', asked: ASKED, code: new Map([[SHA256, CODE]]) };

let redis: TestRedis;
/** Looks at the server from outside. */
let look: Redis;
let said: string[] = [];
const say = (text: string): void => void said.push(text);
const LINE: ProgressLine<unknown> = { update: () => {}, say, end: () => {} };

function unitAt(i: number): RunsUnit {
  return { kind: 'runs', range: { from: 10 * i, to: 10 * i + 10 } };
}

/** A result that tells which unit it is of. */
function doneFor(of: unknown): UnitDone {
  return of as UnitDone;
}

async function atServer<T>(
  work: (server: QueueServer) => Promise<T>,
  patience_ms = 60_000,
): Promise<T> {
  return withServer(queueAddress({ queue: redis.url }), { say, patience_ms }, work);
}

async function own(
  work: (crew: Crew) => Promise<void>,
  campaign: Partial<Published> = {},
  patience_ms?: number,
): Promise<boolean> {
  return atServer(
    (server) => withQueue({ ...CAMPAIGN, ...campaign }, server, LINE, work),
    patience_ms,
  );
}

/** Serves the queue until the work of others is done. */
async function serveWhile<T>(doUnit: Hands['doUnit'], work: () => Promise<T>): Promise<T> {
  const control = new AbortController();
  const { signal: interrupted } = control;
  const served = atServer((server) => serve(server, { doUnit, concurrency: 2, interrupted, say }));
  try {
    return await work();
  } finally {
    control.abort();
    await served;
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((again) => setTimeout(again, 20));
}

/** Jobs of the queue in a state. */
async function count(state: 'wait' | 'active' | 'completed'): Promise<number> {
  const key = `vlbr:${queueName()}:${state}`;
  return state === 'completed' ? look.zcard(key) : look.llen(key);
}

/** What of a campaign is in Redis. */
async function keysOf(id: string): Promise<string[]> {
  const keys = await look.keys(`*${id}*`);
  const registered = await look.hkeys('vlbr:campaigns');
  return [...keys, ...registered.filter((one) => one === id)];
}

describe.skipIf(!hasRedis)('a queue', () => {
  beforeAll(async () => {
    redis = await startRedis();
    look = new Redis(redis.port).on('error', () => {});
  });
  afterAll(async () => {
    look.disconnect();
    await redis.stop();
  });
  beforeEach(async () => {
    await look.flushall();
    said = [];
  });
  afterEach(async () => {
    await look.config('SET', 'maxmemory', '0');
  });

  it('a unit is always done by a worker that knows its campaign, and leaves nothing', async () => {
    const doUnit: Hands['doUnit'] = async ({ asked, binary }, subject, unit) =>
      doneFor({ asked, binary: [...(binary ?? [])], subject, unit });
    const cut = await serveWhile(doUnit, () =>
      own(async (crew) => {
        const subject = { cpu: 'skylake', policy: 'parked' };
        const units = await Promise.all([crew.do(0, unitAt(0)), crew.do(1, unitAt(3))]);
        expect(units).toEqual([
          { asked: ASKED, binary: [], subject: { ...subject, target: PORT }, unit: unitAt(0) },
          {
            asked: ASKED,
            binary: [...CODE],
            unit: unitAt(3),
            subject: { ...subject, target: COMPILED },
          },
        ]);
      }),
    );
    expect(cut).toBe(false);
    expect(await keysOf('one')).toEqual([]);
    expect(await look.xlen(`vlbr:${queueName()}:events`)).toBe(0);
    expect(said.join('\n')).toMatch(/^vlbr: worker \S+-\d+ is at redis:.* with 2 threads$/m);
  });

  it('an owner always sees who works, and keeps twice as many units there as threads', async () => {
    const seen: number[] = [];
    await own(async (crew) => {
      seen.push(crew.atOnce);
      const control = new AbortController();
      const hands = { doUnit: () => new Promise<null>(() => {}), concurrency: 9, say };
      const serving = atServer((server) =>
        serve(server, { ...hands, interrupted: control.signal }),
      );
      await until(async () => crew.atOnce !== seen[0]);
      seen.push(crew.atOnce);
      control.abort();
      await serving;
      await until(async () => crew.atOnce !== seen[1]);
    });
    expect(seen).toEqual([8, 18]);
    expect(said[0]).toBe(
      `vlbr: no worker is at the queue yet; start some by: vlbr worker --queue ${redis.url}`,
    );
    const lines = said
      .filter((line) => /has/.test(line))
      .map((line) => line.replace(/\S+-\d+/, 'W'));
    expect(lines).toEqual(['vlbr: worker W has joined, with 9 threads', 'vlbr: worker W has left']);
  });

  it('an owner that comes again always finds what was done meanwhile, once', async () => {
    let begun = 0;
    const doUnit: Hands['doUnit'] = async (_, __, unit) => {
      begun++;
      return doneFor(unit);
    };
    // The first owner loses its connection for good.
    const cut = await atServer((server) =>
      withQueue(CAMPAIGN, server, LINE, async (crew) => {
        const units = [crew.do(0, unitAt(0)), crew.do(0, unitAt(1))];
        await until(async () => (await count('wait')) === 2);
        server.redis.disconnect();
        expect(await Promise.all(units)).toEqual([null, null]);
        expect(crew.ended).toBe(true);
      }),
    );
    expect(cut).toBe(true);
    await serveWhile(doUnit, async () => until(async () => (await count('completed')) === 2));
    await own(async (crew) => {
      expect(await crew.do(0, unitAt(1))).toEqual(unitAt(1));
      expect(await crew.do(0, unitAt(0))).toEqual(unitAt(0));
    });
    expect(begun).toBe(2);
    expect(await keysOf('one')).toEqual([]);
  });

  it('a server that comes back empty loses nothing, and is waited for', async () => {
    const cut = await own(async (crew) => {
      const unit = crew.do(0, unitAt(0));
      await until(async () => (await count('wait')) === 1);
      const { port } = redis;
      await redis.stop();
      redis = await startRedis(port);
      const done = serveWhile(
        async (_, __, one) => doneFor(one),
        async () => unit,
      );
      expect(await done).toEqual(unitAt(0));
    });
    expect(cut).toBe(false);
    expect(await keysOf('one')).toEqual([]);
    const url = redis.url.replaceAll('.', '\\.');
    const gone = `vlbr: the queue ${url} is gone; it is waited for up to 60 seconds`;
    expect(said.join('\n')).toMatch(
      new RegExp(`^${gone}\n(.*\n)*vlbr: the queue ${url} is back$`, 'm'),
    );
  });

  it('a server that does not come back always ends owners and workers', async () => {
    let port = 0;
    const cut = await own(
      async (crew) => {
        const serving = atServer(async (server) => {
          const { signal: interrupted } = new AbortController();
          const hands = {
            doUnit: () => new Promise<null>(() => {}),
            concurrency: 1,
            interrupted,
            say,
          };
          await serve(server, hands);
          return server.lost.aborted;
        }, 500);
        const unit = crew.do(0, unitAt(0));
        await until(async () => (await count('active')) === 1);
        ({ port } = redis);
        await redis.stop();
        expect(await unit).toBeNull();
        expect(await serving).toBe(true);
      },
      {},
      500,
    );
    expect(cut).toBe(true);
    const end = `vlbr: the queue ${redis.url} does not come back; ending with what is known`;
    expect(said.filter((line) => line === end)).toHaveLength(2);
    redis = await startRedis(port);
  });

  it('an owner that is ended takes back what nobody has begun', async () => {
    const control = new AbortController();
    const doUnit: Hands['doUnit'] = async () => {
      await until(async () => control.signal.aborted);
      return null;
    };
    const hands = { doUnit, concurrency: 1, interrupted: control.signal, say };
    const serving = atServer((server) => serve(server, hands));
    const cut = await own(async (crew) => {
      const units = [0, 1, 2].map(async (i) => crew.do(0, unitAt(i)));
      await until(async () => (await count('wait')) === 2 && (await count('active')) === 1);
      process.emit('SIGTERM');
      expect(await Promise.all(units)).toEqual([null, null, null]);
    });
    expect(cut).toBe(true);
    expect([await count('wait'), await count('active')]).toEqual([0, 1]);
    expect(await look.exists('vlbr:campaigns', 'vlbr:campaign:one')).toBe(0);
    control.abort();
    await serving;
  });

  it('a worker that is ended gives back what it is at', async () => {
    const control = new AbortController();
    await own(async (crew) => {
      const unit = crew.do(0, unitAt(0));
      let begun = false;
      const doUnit: Hands['doUnit'] = async () => {
        begun = true;
        await until(async () => control.signal.aborted);
        return null;
      };
      const hands = { doUnit, concurrency: 1, interrupted: control.signal, say };
      const serving = atServer((server) => serve(server, hands));
      await until(async () => begun);
      control.abort();
      expect(await serving).toBe(0);
      expect([await count('wait'), await count('active')]).toEqual([1, 0]);
      const done = serveWhile(
        async (_, __, one) => doneFor(one),
        async () => unit,
      );
      expect(await done).toEqual(unitAt(0));
    });
  });

  it('units of a campaign that is not there are never done, and asked for again', async () => {
    await own(async (crew) => {
      await look.del('vlbr:campaign:one');
      const unit = crew.do(0, unitAt(0));
      const done = serveWhile(
        async (_, __, one) => doneFor(one),
        async () => {
          await new Promise((later) => setTimeout(later, 300));
          await look.hset(
            'vlbr:campaign:one',
            'asked',
            JSON.stringify({ ...ASKED, targets: [PORT] }),
          );
          return unit;
        },
      );
      expect(await done).toEqual(unitAt(0));
    });
  });

  it('whatever a worker meets always reaches the owner', async () => {
    const meet = async (error: unknown, subject = 0): Promise<unknown> =>
      serveWhile(
        () => Promise.reject(error),
        () => own(async (crew) => void (await crew.do(subject, unitAt(0)))),
      ).catch((met: unknown) => met);
    const bug = await meet(Object.assign(new WorkerBug('a stack', ['advice'], true)));
    expect(bug).toBeInstanceOf(WorkerBug);
    expect(bug).toMatchObject({ stack: 'a stack', advice: ['advice'], inKernel: true });
    expect(await meet(new UsageError('not so'))).toEqual(new UsageError('not so'));
    expect(await meet(new Error('a thread was lost'))).toMatchObject({
      name: 'UsageError',
      message:
        'a unit of parked on skylake is given up at the queue, since each worker that has begun ' +
        'it was lost (a thread was lost): look whether the workers have enough memory, and go on',
    });
    const other = await serveWhile(
      async (_, __, unit) => doneFor(unit),
      () =>
        own(async (crew) => void (await crew.do(1, unitAt(0))), {
          code: new Map([[SHA256, CODE.slice(1)]]),
        }),
    ).catch((met: unknown) => met);
    expect(other).toMatchObject({
      name: 'UsageError',
      message: `the queue ${redis.url} has other code than ${SHA256} says`,
    });
    expect(await keysOf('one')).toEqual([]);
  });

  it('a full server always ends owners and workers in one sentence', async () => {
    const full = /^the queue redis:\S+ is full \(OOM .*\): give the server more memory and go on/;
    const { signal: interrupted } = new AbortController();
    const doUnit: Hands['doUnit'] = async (_, __, one) => {
      await look.config('SET', 'maxmemory', '1');
      return doneFor(one);
    };
    const hands = { doUnit, concurrency: 1, interrupted, say };
    const worker = atServer((server) => serve(server, hands)).catch((met: unknown) => met);
    const owner = own(async (crew) => {
      expect(await crew.do(0, unitAt(0))).toEqual(unitAt(0));
      await crew.do(0, unitAt(1));
    }).catch((met: unknown) => met);
    for (const met of await Promise.all([worker, owner])) {
      expect(met).toBeInstanceOf(WriteError);
      expect(met).toMatchObject({ message: expect.stringMatching(full) as string });
    }
  });

  it('units of another version are left alone, which a worker says once', async () => {
    await look.hset(
      'vlbr:campaigns',
      'two',
      '9.9.9 (f00)',
      'three',
      '9.9.9 (f00)',
      'four',
      ownVersion(),
    );
    await serveWhile(
      async (_, __, one) => doneFor(one),
      async () => until(async () => said.some((line) => line.includes('9.9.9'))),
    );
    expect(said.filter((line) => line.includes(' has units of '))).toEqual([
      `vlbr: ${redis.url} has units of vlbr 9.9.9 (f00): this is vlbr ${ownVersion()}, ` +
        'and leaves them for workers of that one',
    ]);
  });
});

describe.skipIf(!hasRedis)('a server that can not be used', () => {
  const reach = async (options: Parameters<typeof queueAddress>[0]): Promise<unknown> =>
    withServer(queueAddress(options), { say }, async () => 'reached').catch((met: unknown) => met);

  it('a port without a server, or with another one, is always told in one sentence', async () => {
    const odd = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    const silent = createServer();
    const ports: number[] = [];
    for (const server of [odd, silent]) {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const address = server.address();
      ports.push(typeof address === 'object' ? (address?.port ?? 0) : 0);
    }
    const urls = ['redis://127.0.0.1:1', ...ports.map((port) => `redis://127.0.0.1:${port}`)];
    const told = await Promise.all(urls.map((queue) => reach({ queue })));
    expect(told.map((one) => String(one))).toEqual([
      `UsageError: the queue ${urls[0]}/0 can't be reached: connect ECONNREFUSED 127.0.0.1:1`,
      expect.stringMatching(
        new RegExp(`^UsageError: the queue ${urls[1]}/0 can't be reached: .*H`),
      ),
      `UsageError: the queue ${urls[2]}/0 can't be reached: no answer for 5 seconds`,
    ]);
    odd.close();
    silent.close();
  });

  it('a password and a database that are not right are always refused', async () => {
    const locked = await startRedis(undefined, '--requirepass', 'geheim');
    const url = locked.url.slice(0, -2);
    expect(String(await reach({ queue: url }))).toBe(
      `UsageError: the queue ${url}/0 wants a password; see: vlbr worker --help`,
    );
    process.env['VLBR_QUEUE_PASSWORD'] = 'wrong';
    expect(String(await reach({ queue: url }))).toMatch(
      /^UsageError: the queue \S+ refuses: WRONGPASS/,
    );
    process.env['VLBR_QUEUE_PASSWORD'] = 'geheim';
    expect(String(await reach({ queue: `${url}/99` }))).toMatch(
      /refuses: ERR DB index is out of range$/,
    );
    expect(await reach({ queue: url })).toBe('reached');
    delete process.env['VLBR_QUEUE_PASSWORD'];
    await locked.stop();
  });

  it('TLS is always checked, against the certificates that are given', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vlbr-tls-'));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const make = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    const of = ['-nodes', '-subj', '/CN=redis', '-addext', 'subjectAltName=IP:127.0.0.1'];
    execFileSync('openssl', [...make, ...of, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    const port = await freePort();
    const tls = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-auth-clients', 'no'];
    const served = await startRedis(port, '--port', '0', '--tls-port', String(port), ...tls);
    const url = `rediss://127.0.0.1:${port}`;
    expect(String(await reach({ queue: url }))).toBe(
      `UsageError: the queue ${url}/0 can't be reached: self-signed certificate`,
    );
    expect(await reach({ queue: url, queueCa: cert })).toBe('reached');
    await served.stop();
    rmSync(folder, { recursive: true, force: true });
  });
});
