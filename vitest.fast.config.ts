import { configDefaults, mergeConfig, type ViteUserConfig } from 'vitest/config';
import config from './vitest.config.js';

/**
 * What a contributor runs between two edits: all tests but these, which take a compiler, start
 * the command line, or judge whole campaigns. `npm test` has them.
 */
const SLOW: readonly string[] = [
  'test/readme_examples.test.ts',
  'test/{contract,findings,golden_kvm,kernels,kvm_edits,patches}.test.ts',
  'test/console/pool.test.ts',
  'test/hw/lbr_model.test.ts',
  'test/property/{policies,smaller_change,wiping}.test.ts',
  'test/questions/**/{c_file,cli}.test.ts',
  'test/machine/{guest_image,kvm_image}.test.ts',
  'test/judge/no_warn.test.ts',
  'test/questions/{conform,corpus,review}/*.test.ts',
  'test/search/protocol.test.ts',
  'test/tell/picture/browser.test.ts',
  'test/states/{known_steps,machine_bisim,machine_names,policies,shorten}.test.ts',
  'test/tree/{build,c_code,driver,places,shim}.test.ts',
  'test/tree/image/{bits,lockstep}.test.ts',
];

const fast: ViteUserConfig = mergeConfig(config, {
  test: { exclude: [...configDefaults.exclude, ...SLOW] },
});

export default fast;
