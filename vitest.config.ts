import type { ViteUserConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What takes longest, first. Begun at the end, one of these would leave the other core idle. */
const LONG: readonly string[] = [
  'test/property/policies.test.ts',
  'test/kvm_edits.test.ts',
  'test/questions/review/cli.test.ts',
  'test/readme_examples.test.ts',
  'test/questions/kernel_build/cli.test.ts',
  'test/contract.test.ts',
  'test/machine/kvm_image.test.ts',
  'test/recording/damage.test.ts',
  'test/property/wiping.test.ts',
  'test/questions/verify/cli.test.ts',
  'test/package/package.test.ts',
];

function place({ moduleId }: TestSpecification): number {
  const i = LONG.findIndex((name) => moduleId.endsWith(name));
  return i < 0 ? LONG.length : i;
}

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
  }
}

const config: ViteUserConfig = {
  test: {
    include: ['test/**/*.test.ts'],
    // A process per core of the smallest machine this must run on: campaigns are pure computation.
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    testTimeout: 600_000,
    hookTimeout: 600_000,
    reporters: ['default'],
  },
};

export default config;
