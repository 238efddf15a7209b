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
  // Not in 5.15, but in 6.1: what the init functions find out is put together at the end.
  { macro: 'VLBR_LBR_INIT', pattern: /^void\s+(?:__init\s+)?intel_pmu_lbr_init\(/m },
  // In 5.15, not in 6.1.
  { macro: 'VLBR_OWN_LBR_DISABLE', pattern: /^static\s+void\s+__intel_pmu_lbr_disable\(/m },
  // Until 6.1 (commit 4462fbfe6ec1), the decoder of branches was in lbr.c.
  { macro: 'VLBR_OWN_BRANCH_TYPE', pattern: /^static\s+int\s+branch_type\(/m },
  { macro: 'VLBR_OWN_BRANCH_KINDS', pattern: /^\s*X86_BR_NONE\s*=(?!=)/m },
  // 6.15, commit d57e94f5b891, and 6.12.111 and 6.6.159, where fixes depend on it: sched_task is
  // told which task it is.
  {
    macro: 'VLBR_SCHED_TASK_OF_TASK',
    pattern: /\bintel_pmu_lbr_sched_task\([^)]*struct task_struct \*/,
  },
  // 6.15, commit 3cec9fd03543: data belongs to a task, and so do its users: those of an event are
  // counted for the task that the event was opened for. A clone swap exchanges neither.
  { macro: 'VLBR_TARGET_HAS_USERS', pattern: /->hw\.target\b/ },
];

/** A comment may tell of what another version has. */
const COMMENT = /\/\*[^]*?\*\/|\/\/.*$/gm;

/** The macros for a text of lbr.c. */
export function driftMacros(text: string): string[] {
  const code = text.replaceAll(COMMENT, ' ');
  return DRIFTS.filter(({ pattern }) => pattern.test(code)).map(({ macro }) => macro);
}

/** The headers that it includes with angle brackets: all of them are the shim. */
export function includedHeaders(text: string): string[] {
  return [...text.matchAll(/^\s*#\s*include\s*<([^>]+)>/gm)].map((match) => match[1]);
}
