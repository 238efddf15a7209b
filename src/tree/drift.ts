/**
 * Changes of lbr.c over the years that matter to the shim. Each has a macro, which is defined if
 * the text matches a pattern. Version numbers would be wrong for a tree with backports.
 */

interface Drift {
  /** Defined for the C compiler if the pattern matches. */
  readonly macro: string;
  readonly pattern: RegExp;
}

/** From old to new. */
const DRIFTS: readonly Drift[] = [
  { macro: 'VLBR_LONG_LONG', pattern: /\blong\s+long\b/ },
  // From 5.5 until commit 1fbc6c8e5289 of 6.15: a clone swap exchanges the data of two tasks, and
  // keeps their numbers of call-stack users in place.
  { macro: 'VLBR_SWAP_TASK_CTX', pattern: /^void\s+intel_pmu_lbr_swap_task_ctx\(/m },
  // 5.9: x86_pmu has function pointers, which core.c sets.
  { macro: 'VLBR_LBR_HOOKS', pattern: /^void\s+intel_pmu_lbr_reset_64\(/m },
  // The formats were in lbr.c in 5.8, not in 5.10.
  { macro: 'VLBR_OWN_FORMATS', pattern: /^\s*LBR_FORMAT_32\s*=(?!=)/m },
  // In 6.1, not in 5.15: a last function completes what the init functions have set.
  { macro: 'VLBR_LBR_INIT', pattern: /^void\s+(?:__init\s+)?intel_pmu_lbr_init\(/m },
  // 5.15 has this function in lbr.c, 6.1 has not.
  { macro: 'VLBR_OWN_LBR_DISABLE', pattern: /^static\s+void\s+__intel_pmu_lbr_disable\(/m },
  // Until 6.1 (commit 4462fbfe6ec1), the decoder of branches was in lbr.c.
  { macro: 'VLBR_OWN_BRANCH_TYPE', pattern: /^static\s+int\s+branch_type\(/m },
  { macro: 'VLBR_OWN_BRANCH_KINDS', pattern: /^\s*X86_BR_NONE\s*=(?!=)/m },
  // 6.15, commit d57e94f5b891, and 6.12.111 and 6.6.159, where fixes depend on it: the task
  // is a parameter of sched_task.
  {
    macro: 'VLBR_SCHED_TASK_OF_TASK',
    pattern: /\bintel_pmu_lbr_sched_task\([^)]*struct task_struct \*/,
  },
  // 6.15, commit 3cec9fd03543: data and its users belong to a task. The users of an event are
  // counted for the task that the event was opened for. A clone swap exchanges neither.
  { macro: 'VLBR_TARGET_HAS_USERS', pattern: /->hw\.target\b/ },
];

/** Comments are ignored, since a comment may mention the code of another version. */
const COMMENT = /\/\*[^]*?\*\/|\/\/.*$/gm;

/** The macros for a text of lbr.c. */
export function driftMacros(text: string): string[] {
  const code = text.replaceAll(COMMENT, ' ');
  return DRIFTS.filter(({ pattern }) => pattern.test(code)).map(({ macro }) => macro);
}

/** Headers that the text includes with angle brackets. The shim replaces all of them. */
export function includedHeaders(text: string): string[] {
  return [...text.matchAll(/^\s*#\s*include\s*<([^>]+)>/gm)].map((match) => match[1]);
}
