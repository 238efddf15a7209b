import { basename } from 'node:path';
import type { ViteUserConfig } from 'vitest/config';
import type { TestSpecification } from 'vitest/node';
import { BaseSequencer } from 'vitest/node';

/** Tests by random schedules: they take seconds, and find few mutants that the others don't. */
const SLOW: RegExp = /^(hw_lbr_model|hw_stack|hw_vmx|intel_lbr_trace|guest_perf_trace)\.test\.ts$/;

function slow({ moduleId }: TestSpecification): number {
  return Number(SLOW.test(basename(moduleId)));
}

/** The fast ones first: a mutant is done with at the first test that fails. */
class FastFirst extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return Promise.resolve(files.toSorted((a, b) => slow(a) - slow(b)));
  }
}

/**
 * The tests that mutation testing runs, hundreds of times: those that are fast and about the model
 * itself. What runs the command line, C code, exploration, checks or campaigns stays out.
 */
const config: ViteUserConfig = {
  test: {
    include: [
      'test/unit/{hw,guest_perf,intel_lbr,host,sim_guest,sim_host}_*.test.ts',
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
