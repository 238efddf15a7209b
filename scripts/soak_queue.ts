/**
 * Kills workers and owners of campaigns at a queue, a thousand times by default, and compares each
 * report with that of a campaign that nobody disturbed.
 *
 *   npm run build && npm run soak:queue -- --kills 1000 --seed 1
 *
 * It starts redis-server on loopback. It ends with 1 if a report differs, or if anything of a
 * campaign stays in the server.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { EXIT_USAGE } from '../src/console/exit_codes.js';
import { startRedis } from '../test/rig/redis.js';
import { drawOf } from '../test/rig/seed.js';
import { startVlbr, type VlbrProcess } from '../test/rig/vlbr_process.js';

const WORKERS = 4;

/** The most milliseconds between two kills. */
const CALM_MS = 4000;

/** One of so many kills is an owner's. */
const OWNERS = 5;

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '4000' },
  },
});

const draw = drawOf(Number(values.seed));
const folder = mkdtempSync(join(tmpdir(), 'vlbr-soak-'));

function vlbr(...args: readonly string[]): VlbrProcess {
  return startVlbr('dist/cli.js', args);
}

function askedWith(seed: number): string[] {
  const what = ['--policy', 'merged,parked', '--property', 'no-leak/vm,no-fault', '--no-shorten'];
  return [...what, '--runs', values.runs, '--unit-runs', '200', '--seed', String(seed)];
}

/** Ends a campaign under kills. Returns how many there were. */
async function underKills(directory: string, seed: number, url: string): Promise<number> {
  const queue = ['--queue', url];
  const worker = (): VlbrProcess => vlbr('worker', ...queue, '--jobs', '1');
  const workers = Array.from({ length: WORKERS }, worker);
  const begun = (): VlbrProcess => vlbr('campaign', 'run', directory, ...askedWith(seed), ...queue);
  let owner = begun();
  let kills = 0;
  for (;;) {
    const calm = sleep(draw.below(CALM_MS), null);
    // One kill after the other.
    // oxlint-disable-next-line no-await-in-loop
    const end = await Promise.race([owner.ended, calm]);
    if (end !== null && end.code !== EXIT_USAGE) break;
    if (end !== null) {
      // It was killed before the directory was whole: there is nothing to go on with.
      rmSync(directory, { recursive: true, force: true });
      owner = begun();
      continue;
    }
    kills++;
    if (draw.below(OWNERS) === 0) {
      // oxlint-disable-next-line no-await-in-loop
      await owner.kill();
      owner = vlbr('campaign', 'resume', directory, ...queue);
    } else {
      const i = draw.below(WORKERS);
      // oxlint-disable-next-line no-await-in-loop
      await workers[i].kill();
      workers[i] = worker();
    }
  }
  await Promise.all(workers.map(async (one) => one.kill('SIGTERM')));
  return kills;
}

async function reportOf(directory: string): Promise<string> {
  return (await vlbr('campaign', 'report', directory).ended).stdout;
}

const redis = await startRedis();
const look = new Redis(redis.port);
let kills = 0;
let wrong = 0;
for (let seed = 1; kills < Number(values.kills); seed++) {
  const [calm, killed] = [join(folder, `calm-${seed}`), join(folder, `killed-${seed}`)];
  // oxlint-disable-next-line no-await-in-loop
  kills += await underKills(killed, seed, redis.url);
  // oxlint-disable-next-line no-await-in-loop
  await vlbr('campaign', 'run', calm, ...askedWith(seed)).ended;
  // oxlint-disable-next-line no-await-in-loop
  const [one, other] = await Promise.all([calm, killed].map(reportOf));
  // oxlint-disable-next-line no-await-in-loop
  const left = await look.keys('vlbr:campaign*');
  const isSame = one === other && one.length > 0;
  if (!isSame || left.length > 0) wrong++;
  const verdict = isSame ? 'the reports are the same' : 'THE REPORTS DIFFER';
  console.log(`campaign ${seed}: ${kills} kills until now; ${verdict}; left: [${left.join(', ')}]`);
}
look.disconnect();
await redis.stop();
rmSync(folder, { recursive: true, force: true });
process.exitCode = wrong === 0 ? 0 : 1;
