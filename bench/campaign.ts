/**
 * What a queue costs: the same campaign by threads, and by one worker at a queue with as many
 * threads, in turns, so that the ratio holds even if the machine's speed drifts. The worker begins
 * with the campaign, since threads are new, too. The build must be there (`npm run build`), and
 * redis-server.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRedis } from '../test/rig/redis.js';
import { startVlbr } from '../test/rig/vlbr_process.js';

const ROUNDS = 5;
const RUNS = 60_000;

const folder = mkdtempSync(join(tmpdir(), 'vlbr-bench-'));
const redis = await startRedis();
const jobs = String(availableParallelism());
const ASKED = ['--policy', 'parked', '--no-shorten', '--runs', String(RUNS)];

/** Seconds that a campaign takes, with the start and the end of its process. */
async function seconds(name: string, ...how: readonly string[]): Promise<number> {
  const directory = join(folder, name);
  const start = performance.now();
  await startVlbr('dist/cli.js', ['campaign', 'run', directory, ...ASKED, ...how]).ended;
  return (performance.now() - start) / 1000;
}

function median(all: readonly number[]): number {
  return all.toSorted((a, b) => a - b)[Math.trunc(all.length / 2)];
}

const ratios: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  // oxlint-disable-next-line no-await-in-loop
  const threads = await seconds(`threads-${round}`, '--jobs', jobs);
  const worker = startVlbr('dist/cli.js', ['worker', '--queue', redis.url, '--jobs', jobs]);
  // oxlint-disable-next-line no-await-in-loop
  const queue = await seconds(`queue-${round}`, '--queue', redis.url);
  // oxlint-disable-next-line no-await-in-loop
  await worker.kill('SIGTERM');
  ratios.push(queue / threads);
  console.log(`threads ${threads.toFixed(1)} s, queue ${queue.toFixed(1)} s`);
}
console.log(
  `${RUNS} runs by ${jobs} threads: a queue takes ${median(ratios).toFixed(3)} times as long`,
);
await redis.stop();
rmSync(folder, { recursive: true, force: true });
