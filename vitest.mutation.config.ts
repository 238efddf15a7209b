import type { ViteUserConfig } from 'vitest/config';
import type { TestSpecification } from 'vitest/node';
import { BaseSequencer } from 'vitest/node';

/** What goes first: tests that are small, then those that need a machine, then random schedules. */
const ORDER: readonly RegExp[] = [
  /litmus|hw\/(branch|tables)\./,
  /(host|guest)\/(?!.*trace)/,
  /hw\/(lbr_map|vmx)|machine\/|golden/,
  /hw\/|trace/,
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
      'test/{hw,guest,host,litmus}/**/*.test.ts',
      'test/machine/{guest,host}_*.test.ts',
      'test/golden.test.ts',
    ],
    isolate: false,
    sequence: { sequencer: FastFirst },
    testTimeout: 60_000,
  },
};

export default config;
