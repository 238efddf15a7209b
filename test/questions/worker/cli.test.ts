/** Campaigns by processes at a queue, of which some are killed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT_NOT_SHOWN } from '../../../src/console/exit_codes.js';
import { builtFolder } from '../../rig/built.js';
import { hasRedis, startRedis, type TestRedis } from '../../rig/redis.js';
import { drawOf, SEED } from '../../rig/seed.js';
import { startVlbr, type VlbrEnd, type VlbrProcess } from '../../rig/vlbr_process.js';

/** Some 16 units. One policy fails, so that schedules are made short, too. */
const ASKED =
  '--policy merged,parked --property no-leak/vm --no-shorten --runs 800 --unit-runs 100'.split(' ');

let cli = '';
let folder = '';
let redis: TestRedis;
let look: Redis;

function vlbr(...args: readonly string[]): VlbrProcess {
  return startVlbr(cli, args);
}

async function reportOf(directory: string): Promise<VlbrEnd> {
  return vlbr('campaign', 'report', directory).ended;
}

async function lengthOf(state: 'active' | 'completed'): Promise<number> {
  const [key] = await look.keys(`vlbr:units of *:${state}`);
  if (key === undefined) return 0;
  return state === 'active' ? look.llen(key) : look.zcard(key);
}

async function sleep(ms: number): Promise<void> {
  await new Promise((awake) => setTimeout(awake, ms));
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(20);
}

describe.skipIf(!hasRedis)('a campaign by workers at a queue', () => {
  beforeAll(async () => {
    cli = join(await builtFolder(), 'cli.js');
    folder = mkdtempSync(join(tmpdir(), 'vlbr-worker-'));
    redis = await startRedis();
    look = new Redis(redis.port);
  });
  afterAll(async () => {
    look.disconnect();
    await redis.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('killed workers and a killed owner never change a byte of the report', async () => {
    const [calm, killed] = [join(folder, 'calm'), join(folder, 'killed')];
    const queue = ['--queue', redis.url];
    const worker = vlbr('worker', ...queue, '--jobs', '2');
    const undisturbed = await vlbr('campaign', 'run', calm, ...ASKED, ...queue).ended;
    expect(undisturbed.code).toBe(EXIT_NOT_SHOWN);
    await worker.kill('SIGTERM');
    const { code, stdout, stderr } = await worker.ended;
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+ units done\n$/) as string,
    });
    expect(stderr).toMatch(/^vlbr: worker \S+ is at redis:\S+, with 2 threads\nvlbr: ending with/);

    const draw = drawOf(SEED);
    const workers = Array.from({ length: 4 }, () => vlbr('worker', ...queue, '--jobs', '1'));
    const first = vlbr('campaign', 'run', killed, ...ASKED, ...queue);
    for (let i = 0; i < 2; i++) {
      await until(async () => (await lengthOf('active')) > 0);
      await sleep(draw.below(300));
      const [victim] = workers.splice(draw.below(workers.length), 1);
      await victim?.kill();
    }
    await first.kill();
    // What workers end now is for the next owner.
    await until(async () => (await lengthOf('completed')) > 0);
    const second = await vlbr('campaign', 'resume', killed, ...queue).ended;
    expect(second).toMatchObject({ code: EXIT_NOT_SHOWN, stdout: undisturbed.stdout });
    expect(second.stderr).toMatch(/^(vlbr: worker \S+ has joined, with 1 thread\n){2,3}/);
    await Promise.all(workers.map(async (one) => one.kill('SIGTERM')));

    const reports = await Promise.all([calm, killed].map(reportOf));
    expect(reports[1]).toEqual(reports[0]);
    expect(reports[0].stdout).toContain('no-leak/vm');
    // Nothing of a campaign stays in the server.
    expect(await look.exists('vlbr:campaigns')).toBe(0);
    const left = (await look.keys('*')).map((key) => key.replace(/^vlbr:units of .*:/, ''));
    expect(left.toSorted()).toEqual(expect.not.arrayContaining(['completed', 'wait', 'active']));
    expect(left.filter((key) => !['events', 'id', 'meta', 'stalled-check'].includes(key))).toEqual(
      [],
    );
  });

  it('a time limit always ends a worker and an owner, which says that work is left', async () => {
    const directory = join(folder, 'limited');
    const queue = ['--queue', redis.url, '--time-limit', '2s'];
    const [owner, worker] = await Promise.all([
      vlbr('campaign', 'run', directory, ...ASKED, '--runs', '1000000', ...queue).ended,
      vlbr('worker', ...queue).ended,
    ]);
    expect([owner.code, worker.code]).toEqual([4, 0]);
    expect(await look.exists('vlbr:campaigns')).toBe(0);
  });

  it('wrong uses always end with 2 and one sentence', async () => {
    const ends = async (...args: readonly string[]): Promise<VlbrEnd> => vlbr(...args).ended;
    const directory = join(folder, 'never');
    const told = await Promise.all([
      ends('worker'),
      ends('campaign', 'run', directory, '--queue', 'redis://127.0.0.1:1'),
      ends('campaign', 'run', directory, '--queue', redis.url, '--jobs', '2'),
    ]);
    expect(told.map(({ code }) => code)).toEqual([2, 2, 2]);
    expect(told.map(({ stderr }) => stderr.split('\n')[0])).toEqual([
      "vlbr: required option '--queue <url>' not specified",
      "vlbr: the queue redis://127.0.0.1:1/0 can't be reached: connect ECONNREFUSED 127.0.0.1:1",
      'vlbr: --jobs is for threads: with --queue, give it to vlbr worker',
    ]);
  });
});
