/** The report of `vlbr cost` as one JSON object (README, "JSON"). */
import type { JsonReport } from '../../campaign/replay_file.js';
import { guestsJson } from '../../tell/guest_text.js';
import { recordingJson } from '../../tell/recording_text.js';
import { isParameter } from './cost_table.js';
import { COUNTS, type Counts, cyclesOfCounts } from './ledger.js';
import { alike, crossings, playedOf, shareOf, totalsOf } from './summary.js';
import type { Costs } from './text.js';

const COST_SCHEMA = 'vlbr/cost/2';

/** Nothing in it depends on anything but the options and the files. */
export function costJson(report: Costs): JsonReport {
  const { recordings, guests, profiles, results, costs, sweep, interrupted, cpu, kernel, seed } =
    report;
  const counted = (counts: Counts): object => ({
    ...Object.fromEntries(COUNTS.map((name, i) => [name, counts[i]])),
    cycles: cyclesOfCounts(counts, costs),
  });
  return {
    schema: COST_SCHEMA,
    cpu,
    kernel,
    seed,
    costs: Object.fromEntries(
      Object.entries(costs).map(([name, price]) => [
        name,
        { ...price, parameter: isParameter(price) },
      ]),
    ),
    profiles,
    interrupted,
    recordings: recordings.map((recording, host) => ({
      ...recordingJson(recording),
      guests: guestsJson(recording, guests),
      profiles: profiles.map(({ name }, p) => {
        const totals = totalsOf(results, host, p);
        return {
          profile: name,
          alike: alike(totals),
          crossings: sweep === null ? null : { ...sweep, found: crossings(totals, costs, sweep) },
          policies: playedOf(results, host, p).map(({ played }, i) => {
            const { policy, complete, ran, counts } = totals[i];
            return {
              policy,
              complete,
              ran_ns: ran,
              share: shareOf(totals[i], costs),
              ...counted(counts),
              vcpus: played.counts.map((one, v) => ({ ran_ns: played.ran[v], ...counted(one) })),
            };
          }),
        };
      }),
    })),
  };
}
