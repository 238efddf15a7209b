import type { ViteUserConfig } from 'vitest/config';
import type { TestSpecification } from 'vitest/node';
import { BaseSequencer } from 'vitest/node';

/** What goes first: tests that are small, then those that need a machine, then random schedules. */
const ORDER: readonly RegExp[] = [
  /litmus|hw_(branch|tables)\./,
  /(host|guest)_(?!perf_trace)/,
  /hw_(lbr_map|vmx)|sim_|golden/,
  /hw_|_trace/,
];

function rank({ moduleId }: TestSpecification): number {
  return ORDER.findIndex((pattern) => pattern.test(moduleId));
}

/** A mutant is done with at the first test that fails. */
class FastFirst extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return Promise.resolve(files.toSorted((a, b) => rank(a) - rank(b)));
  }
}

/**
 * The tests that mutation testing runs, hundreds of times: those that are fast and about the model
 * itself. What runs the command line, C code, exploration, checks or campaigns stays out.
 */
const config: ViteUserConfig = {
  test: {
    include: [
      'test/unit/{hw,guest,intel_lbr,host,sim_guest,sim_host}_*.test.ts',
      'test/litmus/*.test.ts',
      'test/golden.test.ts',
    ],
    exclude: ['test/unit/host_schedule.test.ts'],
    isolate: false,
    sequence: { sequencer: FastFirst },
    testTimeout: 60_000,
  },
};

export default config;
