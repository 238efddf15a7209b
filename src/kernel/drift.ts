/**
 * What changed in lbr.c over the years, as far as the shim has to know: a macro for each thing
 * that is found in the text. A shim that went by version numbers would be wrong for every tree with
 * backports.
 */

interface Drift {
  /** Defined for the C compiler when the pattern matches. */
  readonly macro: string;
  readonly pattern: RegExp;
}

const DRIFTS: readonly Drift[] = [
  // 6.13, commit 3cec9fd03543, and its backports: sched_task is told which task it is.
  {
    macro: 'VLBR_SCHED_TASK_OF_TASK',
    pattern: /\bintel_pmu_lbr_sched_task\([^)]*struct task_struct \*/,
  },
  // Before 6.1 (commit 4462fbfe6ec1), the decoder of branches was in lbr.c.
  { macro: 'VLBR_OWN_BRANCH_TYPE', pattern: /^static int branch_type\(/m },
];

/** The macros for a text of lbr.c. */
export function driftMacros(text: string): string[] {
  return DRIFTS.filter(({ pattern }) => pattern.test(text)).map(({ macro }) => macro);
}

/** The headers that it includes with angle brackets: all of them are the shim. */
export function includedHeaders(text: string): string[] {
  return [...text.matchAll(/^\s*#\s*include\s*<([^>]+)>/gm)].map((match) => match[1]);
}
