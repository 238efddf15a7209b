/** The costs as comma-separated values: a line for each recording, profile, policy and vCPU. */
import { stringify } from 'csv-stringify/sync';
import { COUNTS, cyclesOfCounts } from './ledger.js';
import type { Costs } from './text.js';

export function costCsv({ recordings, profiles, results, costs }: Costs): string[] {
  const rows = results.flatMap(({ policy, results: played }) =>
    played.flatMap(({ host, profile, counts, ran, complete }) => {
      const { file, vcpus, vms } = recordings[host];
      return counts.map((one, v) => [
        file,
        profiles[profile].name,
        policy,
        vms[vcpus[v].vm].name,
        vcpus[v].index,
        ran[v] / 1e9,
        ...one,
        cyclesOfCounts(one, costs),
        complete ? 1 : 0,
      ]);
    }),
  );
  const head = ['recording', 'profile', 'policy', 'vm', 'vcpu', 'ran_s', ...COUNTS, 'cycles'];
  return stringify([[...head, 'complete'], ...rows])
    .trimEnd()
    .split('\n');
}
