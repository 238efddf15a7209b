/**
 * Small C files in place of lbr.c, which define the functions that perf calls, with nearly empty
 * bodies.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Tries the compiler and its linker. Prints a message if there is none.
 *
 * @param folder - receives the files that are compiled.
 */
export function clangOf(folder: string): { readonly path: string; readonly missing: string } {
  const probe = join(folder, 'probe.c');
  writeFileSync(probe, 'int probe;\n');
  const args = ['--target=wasm32', '-nostdlib', '-Wl,--no-entry', probe, '-o', `${probe}.wasm`];
  try {
    execFileSync('clang', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const [path] = execFileSync('which', ['clang'], { encoding: 'utf8' }).split('\n');
    return { path, missing: '' };
  } catch (error) {
    const [missing] = String(error).split('\n');
    console.warn(`NOT TESTED: compiling an lbr.c (${missing})`);
    return { path: '', missing };
  }
}

/** The functions that perf calls. */
const CALLED: readonly string[] = [
  ...['core', 'atom', 'slm', 'nhm', 'snb', 'hsw', 'skl', 'knl'].map(
    (cpu) => `void intel_pmu_lbr_init_${cpu}(void)`,
  ),
  'void intel_pmu_lbr_add(struct perf_event *event)',
  'void intel_pmu_lbr_del(struct perf_event *event)',
  'void intel_pmu_lbr_enable_all(bool pmi)',
  'void intel_pmu_lbr_disable_all(void)',
  'void intel_pmu_lbr_read(void)',
  'void intel_pmu_lbr_reset(void)',
  'void intel_pmu_lbr_sched_task(struct perf_event_context *ctx, bool sched_in)',
  'int intel_pmu_setup_lbr_filter(struct perf_event *event)',
];

/** An lbr.c in which one or more functions have a body. The first line of a body is line 5. */
export function lbrC(
  bodies: Readonly<Record<string, string>> = {},
  before = '/* Nothing. */',
): string {
  const name = (head: string): string => /(\w+)\(/.exec(head)?.[1] ?? '';
  const heads = CALLED.toSorted(
    (a, b) => Number(bodies[name(b)] !== undefined) - Number(bodies[name(a)] !== undefined),
  );
  const functions = heads.map((head) => {
    const body = bodies[name(head)] ?? (head.startsWith('int') ? 'return 0;' : '');
    return `${head} {\n${body}\n}\n`;
  });
  const includes = '#include <linux/perf_event.h>\n#include "../perf_event.h"\n';
  return `${includes}${before}\n${functions.join('')}`;
}
