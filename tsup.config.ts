import { spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { Options } from 'tsup';

/** The commit of this folder's own repository, which every JSON names; null where there is none. */
function commit(): string | null {
  const own = ['--git-dir', '.git', '--work-tree', '.'];
  const how = ['describe', '--always', '--dirty', '--abbrev=40', '--exclude', '*'];
  const { status, stdout } = spawnSync('git', [...own, ...how], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}

// JavaScript only: tsup's declaration builder is tied to compiler versions, so tsc writes types.
// src/main.ts starts with its own `#!` line; tsup keeps it and makes dist/cli.js executable.
const config: Options = {
  entry: {
    index: 'src/index.ts',
    fast_check: 'src/fast_check.ts',
    cli: 'src/main.ts',
    verify_worker: 'src/questions/verify/worker.ts',
    review_worker: 'src/questions/review/worker.ts',
    explore_worker: 'src/questions/explore/worker.ts',
    bisect_worker: 'src/questions/campaign/bisect_worker.ts',
    bisect_loss_worker: 'src/questions/campaign/bisect_loss_worker.ts',
    cost_worker: 'src/questions/cost/worker.ts',
    store_worker: 'src/store/worker.ts',
    explore_image_worker: 'src/questions/explore/image_worker.ts',
  },
  format: 'esm',
  platform: 'node',
  target: 'node20',
  dts: false,
  sourcemap: true,
  // Code that both entries use goes into a chunk: the CLI and the library are one implementation.
  splitting: true,
  treeshake: true,
  define: { VLBR_COMMIT: JSON.stringify(commit()) },
  clean: true,
  esbuildPlugins: [
    {
      // Files that are read on the user's machine, and what pages are made of; wherever the build
      // goes.
      name: 'files',
      setup({ initialOptions: { outdir = 'dist' }, onEnd }) {
        onEnd(() => {
          cpSync('src/tree/shim', join(outdir, 'shim'), { recursive: true });
          cpSync('src/tree/gcov/gcov.c', join(outdir, 'gcov.c'));
          cpSync('src/questions/new_policy/skeleton', join(outdir, 'skeleton'), {
            recursive: true,
          });
          cpSync('src/tree/image/c', join(outdir, 'c'), { recursive: true });
          for (const name of ['page.css', 'page.js']) {
            cpSync(join('src/tell/picture', name), join(outdir, 'picture', name));
          }
          // Schedules that `vlbr explain` tells.
          cpSync('test/golden', join(outdir, 'golden'), {
            recursive: true,
            filter: (path) => !path.endsWith('.ts'),
          });
        });
      },
    },
  ],
};

export default config;
