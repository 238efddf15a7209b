/** The pool of workers: silence, progress, exceptions and Ctrl-C. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CampaignJob } from '../../src/questions/verify/job.js';
import { UsageError, WorkerBug } from '../../src/console/errors.js';
import type { PoolHooks, PoolResults } from '../../src/console/pool.js';
import { inWorkers } from '../../src/console/pool.js';
import type { Job } from '../../src/console/worker_job.js';
import { PROPERTY_NAMES } from '../../src/judge/properties.js';
import type { Progress } from '../../src/campaign/campaign.js';
import type { Report } from '../../src/campaign/campaign.js';
import { DEFAULT_SHAPES } from '../../src/campaign/campaign.js';
import type { Told } from '../rig/pool_worker.js';

const BUILD = fileURLToPath(new URL(`../../.cache/pool-test-${process.pid}`, import.meta.url));
const WORKER = join(BUILD, 'pool_worker.js');
const CAMPAIGN = join(BUILD, 'worker.js');

/** What the pool is told to take for an endless loop; a worker needs some of it to start. */
const SILENCE_MS = 2000;
const LONG_MS = 2.5 * SILENCE_MS;

beforeAll(async () => {
  const entryPoints = ['../rig/pool_worker.ts', '../../src/questions/verify/worker.ts'].map(
    (path) => fileURLToPath(new URL(path, import.meta.url)),
  );
  const how = { bundle: true, format: 'esm', platform: 'node', packages: 'external' } as const;
  await build({ ...how, entryPoints, outdir: BUILD, entryNames: '[name]' });
}, 120_000);

afterAll(() => {
  rmSync(BUILD, { recursive: true, force: true });
});

function pool(
  policies: readonly string[],
  more: Partial<PoolHooks<Told>> & Partial<Job> & { readonly silence_ms?: number } = {},
): Promise<PoolResults<string>> {
  const { cpus = ['skylake'], binary = null, silence_ms = SILENCE_MS } = more;
  const { progress = (): void => {}, interrupted = (): void => {} } = more;
  const work = {
    worker: pathToFileURL(WORKER),
    job: { cpus, policies, binary },
    silence_ms,
    advice: ({ policy }: { readonly policy: string }, crash: { readonly token: string | null }) => [
      `${policy} ${crash.token}`,
    ],
  };
  return inWorkers<Job, Told, string>(work, { progress, interrupted });
}

/** Holds this thread up, as Ctrl-Z does until the process is brought back. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe('a pool with a limit on silence', () => {
  it('never ends a worker that takes longer than the limit and goes on telling', async () => {
    const policy = `talk ${LONG_MS}`;
    const { results } = await pool([policy]);
    expect(results).toEqual([`${policy} is done on skylake`]);
  });

  it('never takes for silence what this thread was too busy to hear', async () => {
    const policy = `talk ${LONG_MS}`;
    let told = 0;
    // After a check, the loop looks at its timers before it takes messages.
    const progress = (): void => {
      if (told++ === 0) setImmediate(() => block(1.5 * SILENCE_MS));
    };
    const { results } = await pool([policy], { progress });
    expect(told).toBeGreaterThan(1);
    expect(results).toEqual([`${policy} is done on skylake`]);
  });

  it('always ends a worker that says nothing, and says which policy it was', async () => {
    const began = performance.now();
    const silence_ms = 600;
    const ended = pool(['hush 60000'], { silence_ms });
    await expect(ended).rejects.toThrow(UsageError);
    await expect(ended).rejects.toThrow(
      'the model does not return: no word for 0.01 minutes under hush 60000 on skylake',
    );
    const took = performance.now() - began;
    expect(took).toBeGreaterThan(silence_ms);
    expect(took).toBeLessThan(30_000);
  });

  it('always names lbr.c where a compiled one runs', async () => {
    const binary = Uint8Array.of(0);
    const ended = pool(['hush 60000'], { silence_ms: 300, binary });
    await expect(ended).rejects.toThrow('lbr.c does not return');
  });

  it('always ends a worker that falls silent after it has told something', async () => {
    const ended = pool([`talk 300`, 'hush 60000'], { silence_ms: SILENCE_MS });
    await expect(ended).rejects.toThrow('under hush 60000 on skylake');
  });

  it('never ends a silent worker if there is no limit', async () => {
    const { results } = await pool(['hush 500'], { silence_ms: Infinity });
    expect(results).toEqual(['hush 500 is done on skylake']);
  });
});

describe('the worker of a campaign', () => {
  it('always goes on telling while it makes counterexamples short', async () => {
    const job: CampaignJob = {
      cpus: ['skylake'],
      policies: ['never'],
      binary: null,
      before: null,
      kernel: '6.1',
      shapes: DEFAULT_SHAPES,
      properties: PROPERTY_NAMES,
      runs: 300,
      seed: 1,
      schedules: [],
      shorten: false,
    };
    let ends = 0;
    const progress = ([{ runs, runsWanted }]: readonly Progress[]): void => {
      if (runs === runsWanted) ends++;
    };
    const work = { worker: pathToFileURL(CAMPAIGN), job, silence_ms: Infinity, advice: () => [] };
    const hooks = { progress, interrupted: (): void => {} };
    const { results } = await inWorkers<CampaignJob, Progress, Report>(work, hooks);
    expect(results).toMatchObject([{ runs: 300, interrupted: false }]);
    // Shrinking takes a second or two, and a worker tells how far it is ten times a second.
    expect(ends).toBeGreaterThan(2);
  });
});

describe('a pool', () => {
  it('always gives results in the order of the job, whoever is first', async () => {
    const policies = ['talk 600', 'talk 0', 'talk 300'];
    const { results, interrupted } = await pool(policies, { cpus: ['haswell', 'skylake'] });
    expect(results).toEqual(
      ['haswell', 'skylake'].flatMap((cpu) => policies.map((p) => `${p} is done on ${cpu}`)),
    );
    expect(interrupted).toBe(false);
  });

  it('always hands on the stack and the token of an exception, with advice', async () => {
    const error: unknown = await pool(['crash']).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(WorkerBug);
    if (!(error instanceof WorkerBug)) return;
    expect(error.stack).toMatch(/a claim is broken\n\s+at /);
    expect(error.advice).toEqual(['crash v1.token']);
    expect(error.inKernel).toBe(false);
  });

  it('always ends with what is known at Ctrl-C, and begins nothing more', async () => {
    let told = 0;
    const policies = Array.from({ length: 20 }, (_, i) => `talk ${60_000 + i}`);
    const progress = (): void => {
      if (told++ === 0) process.emit('SIGINT');
    };
    let heard = 0;
    const interrupted = (): void => void heard++;
    const listeners = process.listenerCount('SIGINT');
    const found = await pool(policies, { progress, interrupted, silence_ms: Infinity });
    expect(found.interrupted).toBe(true);
    expect(heard).toBe(1);
    expect(found.results.length).toBeGreaterThan(0);
    expect(found.results.length).toBeLessThanOrEqual(8);
    for (const result of found.results) expect(result).toMatch(/ was stopped on skylake$/);
    expect(process.listenerCount('SIGINT')).toBe(listeners);
  });

  it('always says how far each policy is that was begun', async () => {
    const seen = new Set<string>();
    const progress = (all: readonly Told[]): void => {
      for (const { policy } of all) seen.add(policy);
    };
    await pool(['talk 100', 'talk 150'], { progress });
    expect([...seen].sort()).toEqual(['talk 100', 'talk 150']);
  });
});
