/** The pool of workers: silence, progress, exceptions and Ctrl-C. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { VerifyJob } from '../../src/questions/verify/worker.js';
import { UsageError, WorkerBug } from '../../src/console/errors.js';
import { withPolicyFiles } from '../../src/console/policy_files.js';
import { inWorkers, planned, type PoolResults } from '../../src/console/pool.js';
import type { Job } from '../../src/console/worker.js';
import { POLICIES } from '../../src/host/policy/index.js';
import { PROPERTY_NAMES } from '../../src/judge/properties.js';
import { withInfo } from '../../src/tree/binary.js';
import type { Found } from '../../src/campaign/found.js';
import { DEFAULT_SHAPES, type Progress, type Report } from '../../src/campaign/campaign.js';
import { policyText, writtenFile } from '../rig/policy_file.js';
import type { TestJob, Told } from '../rig/pool_worker.js';

const BUILD = fileURLToPath(new URL(`../../.cache/pool-test-${process.pid}`, import.meta.url));
const WORKER = join(BUILD, 'pool_worker.js');
const CAMPAIGN = join(BUILD, 'worker.js');

/** The silence after which the pool assumes an endless loop. */
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

afterEach(() => {
  vi.restoreAllMocks();
});

interface Asked extends Partial<TestJob> {
  readonly silence_ms?: number;
  readonly update?: (progress: readonly Told[]) => void;
  readonly end?: () => void;
  readonly says?: (result: string) => string | null;
  readonly say?: (text: string) => void;
}

function pool(acts: TestJob['acts'], asked: Asked = {}): Promise<PoolResults<string>> {
  const { cpus = ['skylake'], binary = null, silence_ms = SILENCE_MS } = asked;
  const { update = (): void => {}, end = (): void => {} } = asked;
  const { says = (): null => null, say = (): void => {} } = asked;
  const work = {
    worker: pathToFileURL(WORKER),
    job: { cpus, policies: Object.keys(acts), kernel: '6.1' as const, binary, acts },
    silence_ms,
    advice: ({ policy }: { readonly policy: string }, crash: { readonly token: string | null }) => [
      `${policy} ${crash.token}`,
    ],
    says,
  };
  return inWorkers<TestJob, Told, string>(work, { update, say, end });
}

/** The output of `vlbr kernel build` for a file without functions. */
function noCode(): Uint8Array {
  const global = [0x7f, 0, 0x41, 0, 0x0b];
  const exported = ['__global_base', '__data_end'].flatMap((name, i) => {
    return [name.length, ...Buffer.from(name), 3, i];
  });
  const sections = [6, 11, 2, ...global, ...global, 7, exported.length + 1, 2, ...exported];
  const module = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...sections);
  return withInfo(module, { version: '6.1', sha256: '0'.repeat(64) });
}

/** Blocks this thread, as Ctrl-Z does until the process continues. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe('a pool with a limit on silence', () => {
  it('a pool never ends a worker that keeps reporting, however long it runs', async () => {
    const { results } = await pool({ never: `talk ${LONG_MS}` });
    expect(results).toEqual(['never is done on skylake']);
  });

  it('a pool never takes a message that its own thread read late for silence', async () => {
    let told = 0;
    // setImmediate() runs before the timers are checked and before further messages are read.
    const update = (): void => {
      if (told++ === 0) setImmediate(() => block(1.5 * SILENCE_MS));
    };
    const { results } = await pool({ never: `talk ${LONG_MS}` }, { update });
    expect(told).toBeGreaterThan(1);
    expect(results).toEqual(['never is done on skylake']);
  });

  it('a pool never counts the time that a policy waits for a worker', async () => {
    const acts = Object.fromEntries(POLICIES.map(({ name }) => [name, 'talk 400']));
    const { results } = await pool(acts, { silence_ms: 1500 });
    expect(results).toHaveLength(POLICIES.length);
  });

  it('a pool always ends a silent worker, and names its policy', async () => {
    const began = performance.now();
    const silence_ms = 600;
    const ended = pool({ never: 'hush 60000' }, { silence_ms });
    await expect(ended).rejects.toThrow(UsageError);
    await expect(ended).rejects.toThrow(
      'the model does not return: no word for 0.6 seconds under never on skylake',
    );
    const took = performance.now() - began;
    expect(took).toBeGreaterThan(silence_ms);
    expect(took).toBeLessThan(30_000);
  });

  it("a pool always names the kernel's code as the suspect if it runs", async () => {
    const ended = pool({ never: 'hush 60000' }, { silence_ms: 300, binary: noCode() });
    await expect(ended).rejects.toThrow("the kernel's code does not return");
  });

  it('a pool always ends a silent worker, even if another one reported', async () => {
    const ended = pool({ never: 'talk 300', always: 'hush 60000' }, { silence_ms: 900 });
    await expect(ended).rejects.toThrow('under always on skylake');
  });

  it('a pool without a limit never ends a silent worker', async () => {
    const { results } = await pool({ never: 'hush 500' }, { silence_ms: Infinity });
    expect(results).toEqual(['never is done on skylake']);
  });
});

describe('the worker of a campaign', () => {
  it('a worker always keeps reporting while it shrinks counterexamples', async () => {
    const job: VerifyJob = {
      cpus: ['skylake'],
      policies: ['never'],
      binary: null,
      kernel: '6.1',
      shapes: DEFAULT_SHAPES,
      properties: PROPERTY_NAMES,
      runs: 300,
      seed: 1,
      schedules: [],
      shorten: false,
      without: [],
      version: '6.1',
    };
    let ends = 0;
    const update = (all: readonly Progress[]): void => {
      if (all.length === 2) ends++;
    };
    const work = { worker: pathToFileURL(CAMPAIGN), job, silence_ms: Infinity, advice: () => [] };
    const line = { update, say: (): void => {}, end: (): void => {} };
    const { results } = await planned<VerifyJob, Progress, Found | Report, Report>(
      work,
      line,
      1,
      async (ask) => {
        const request = { cpu: 'skylake', policy: 'never' };
        const [found] = await ask({ ...request, part: { from: 0, to: Infinity } }, job);
        ends = 0;
        return (await ask({ ...request, part: found, sumsUp: true }, job)) as Report[];
      },
    );
    expect(results).toMatchObject([{ runs: 300, interrupted: false }]);
    // Shrinking takes a second or two. A worker reports ten times a second.
    expect(ends).toBeGreaterThan(2);
  });
});

describe('a pool', () => {
  it('a pool always gives results in the order of the job', async () => {
    const acts = { never: 'talk 600', always: 'talk 0', merged: 'talk 300' };
    const { results, interrupted } = await pool(acts, { cpus: ['haswell', 'skylake'] });
    expect(results).toEqual(
      ['haswell', 'skylake'].flatMap((cpu) =>
        Object.keys(acts).map((policy) => `${policy} is done on ${cpu}`),
      ),
    );
    expect(interrupted).toBe(false);
  });

  it('a pool says what there is to say of a result before it has the others', async () => {
    const heard: string[] = [];
    const says = (result: string): string | null => (/never/.test(result) ? null : result);
    const say = (text: string): void => void heard.push(text);
    const acts = { never: 'talk 0', merged: 'talk 900', always: 'talk 0' };
    const { results } = await pool(acts, { says, say });
    expect(heard).toEqual(['always is done on skylake', 'merged is done on skylake']);
    expect(results).toHaveLength(3);
  });

  it('a pool always passes on the stack and the token of an exception, with advice', async () => {
    const error: unknown = await pool({ never: 'crash' }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(WorkerBug);
    if (!(error instanceof WorkerBug)) return;
    expect(error.stack).toMatch(/a claim is broken\n\s+at /);
    expect(error.advice).toEqual(['never v1.token']);
    expect(error.inKernel).toBe(false);
  });

  it('a pool never takes a CPU without LBR for guests for a bug', async () => {
    const error: unknown = await pool({ never: 'refuse' }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UsageError);
    expect(error).toHaveProperty('message', expect.stringMatching(/no LBR on skylake/));
  });

  it('a pool always fails if there is no code for its workers', async () => {
    const worker = pathToFileURL(join(BUILD, 'nothing.js'));
    const job = {
      kernel: '6.1' as const,
      cpus: ['skylake'],
      policies: ['never', 'always', 'merged'],
      binary: null,
    };
    const work = { worker, job, silence_ms: SILENCE_MS, advice: () => [] };
    const ended = inWorkers<Job, Told, string>(work, {
      update: () => {},
      say: () => {},
      end: () => {},
    });
    await expect(ended).rejects.toThrow(/Cannot find module .*nothing\.js/);
  });

  it('a pool always ends if its workers hang before they say a word', async () => {
    const path = join(BUILD, 'hangs.mjs');
    writeFileSync(path, 'for (;;);\nexport function judge() {}\n');
    const job = { kernel: '6.1' as const, cpus: ['skylake'], policies: ['never'], binary: null };
    const work = { worker: pathToFileURL(path), job, silence_ms: SILENCE_MS, advice: () => [] };
    const ended = inWorkers<Job, Told, string>(work, {
      update: () => {},
      say: () => {},
      end: () => {},
    });
    await expect(ended).rejects.toThrow('does not return');
  });

  it('a compiled lbr.c without functions is always a bug, and not a verdict', async () => {
    const error: unknown = await pool({ never: 'talk 0' }, { binary: Uint8Array.of(0) }).catch(
      (e: unknown) => e,
    );
    expect(error).toMatchObject({ name: 'WorkerBug', inKernel: true, advice: ['never null'] });
  });

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'a pool ends at %s with the results so far, and starts no more work',
    async (signal) => {
      const said: string[] = [];
      vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0);
      let [told, ends] = [0, 0];
      const update = (): void => {
        if (told++ === 0) process.emit(signal);
      };
      const end = (): void => void ends++;
      const acts = Object.fromEntries(POLICIES.map(({ name }) => [name, 'talk 60000']));
      const listeners = process.listenerCount(signal);
      const found = await pool(acts, { update, end, silence_ms: Infinity });
      expect(found.interrupted).toBe(true);
      expect(said).toEqual([expect.stringMatching(/^vlbr: ending with what is known; .*\n$/)]);
      expect(ends).toBe(2);
      expect(found.results.length).toBeGreaterThan(0);
      expect(found.results.length).toBeLessThanOrEqual(8);
      for (const result of found.results) expect(result).toMatch(/ was stopped on skylake$/);
      expect(process.listenerCount(signal)).toBe(listeners);
    },
  );

  it('a second Ctrl-C always ends the process', async () => {
    vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const exit = vi.spyOn(process, 'exit').mockReturnValue(undefined as never);
    const clock = vi.spyOn(performance, 'now');
    let told = 0;
    const update = (): void => {
      if (told++ > 0) return;
      clock.mockReturnValue(10_000);
      process.emit('SIGINT');
      // The same one, by way of npx.
      process.emit('SIGINT');
      clock.mockReturnValue(20_000);
      process.emit('SIGTERM');
      expect(exit).not.toHaveBeenCalled();
      clock.mockReturnValue(30_000);
      process.emit('SIGINT');
      clock.mockRestore();
    };
    await pool({ never: 'talk 60000' }, { update });
    expect(exit.mock.calls).toEqual([[130]]);
  });

  it('a pool always delivers the last report of a worker before its result', async () => {
    const seen = new Set<string>();
    const update = (all: readonly Told[]): void => {
      for (const { policy } of all) seen.add(policy);
    };
    const ended = pool({ never: 'talk 100', always: 'crash' }, { update });
    await expect(ended).rejects.toThrow(WorkerBug);
    expect(seen).toContain('always');
  });
});

describe('a pool with the policy of a file', () => {
  it('a pool has workers load the file, and tells a failing hook with its schedule', async () => {
    const works = await withPolicyFiles(writtenFile(policyText("name: 'works',")));
    expect(await pool({ [works]: 'talk 0' })).toMatchObject({
      results: ['works is done on skylake'],
    });
    const fails = writtenFile(
      policyText("name: 'fails', vcpu_put: (kvm, { words }) => words.foo,"),
    );
    const ended = pool({ [await withPolicyFiles(fails)]: 'talk 0' });
    const error: unknown = await ended.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UsageError);
    const says = [
      `^hook vcpu_put of policy fails \\(${fails}\\) throws: `,
      "NoSuchWord: vcpu.words has no 'foo'.*",
      `, in action \\d+ \\(p0: run vcpu=1\\)`,
      `; see it again: vlbr replay v1\\.\\S+ --policy ${fails}$`,
    ];
    expect(String(error instanceof Error && error.message)).toMatch(new RegExp(says.join('')));
  });

  it('a pool refuses a file that changes after it was read', async () => {
    const path = writtenFile(policyText("name: 'changes',"));
    await withPolicyFiles(path);
    writeFileSync(path, policyText("name: 'changes', summary: 'another',"));
    await expect(pool({ changes: 'talk 0' })).rejects.toThrow(
      new UsageError(`${path} has changed since the run began; run it once more`),
    );
  });

  it('a pool gives up a hook that does not return', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const waits = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);';
    const path = writtenFile(policyText(`name: 'waits', vcpu_put: () => { ${waits} },`));
    const ended = pool({ [await withPolicyFiles(path)]: 'talk 0' }, { silence_ms: Infinity });
    const error = ended.catch((reason: unknown) => reason);
    await setTimeout(LONG_MS);
    vi.advanceTimersByTime(11_000);
    expect(await error).toEqual(
      new UsageError(
        `hook vcpu_put of policy waits (${path}) does not return on skylake: it was called 10 ` +
          'seconds ago',
      ),
    );
  });
});
