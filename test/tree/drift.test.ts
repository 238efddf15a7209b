/** What is read off the text of an lbr.c. The snippets are in these tests' own words. */
import { describe, expect, it } from 'vitest';
import { driftMacros, includedHeaders } from '../../src/tree/drift.js';

/** A macro, a text that has what it stands for, and texts that only look like it. */
const DRIFTS: readonly (readonly [macro: string, text: string, ...others: string[]])[] = [
  [
    'VLBR_SWAP_TASK_CTX',
    'void intel_pmu_lbr_swap_task_ctx(struct a *p,\n\t\t\tstruct a *q)\n{\n}\n',
    '\tintel_pmu_lbr_swap_task_ctx(p, q);\n',
    '/* void intel_pmu_lbr_swap_task_ctx() is gone. */\n',
  ],
  [
    'VLBR_LBR_HOOKS',
    'void intel_pmu_lbr_reset_64(void)\n{\n}\n',
    'static void intel_pmu_lbr_reset_64(void)\n{\n}\n',
    '\tintel_pmu_lbr_reset_64();\n',
  ],
  [
    'VLBR_OWN_FORMATS',
    'enum {\n\tLBR_FORMAT_32 = 0,\n};\n',
    '\tif (format == LBR_FORMAT_32)\n\t\treturn;\n',
    '\tcase LBR_FORMAT_32:\n',
  ],
  [
    'VLBR_LBR_INIT',
    'void __init intel_pmu_lbr_init(void)\n{\n}\n',
    'void intel_pmu_lbr_init_skl(void)\n{\n}\n',
    'void intel_pmu_arch_lbr_init(void)\n{\n}\n',
  ],
  [
    'VLBR_OWN_LBR_DISABLE',
    'static void __intel_pmu_lbr_disable(void)\n{\n}\n',
    '\t__intel_pmu_lbr_disable();\n',
  ],
  [
    'VLBR_OWN_BRANCH_TYPE',
    'static int branch_type(unsigned long a, unsigned long b, int c)\n{\n}\n',
    '\ttype = branch_type(a, b, 0);\n',
    'static int common_branch_type(int type)\n{\n}\n',
  ],
  [
    'VLBR_OWN_BRANCH_KINDS',
    'enum {\n\tX86_BR_NONE\t\t= 0,\n};\n',
    '\tif (type == X86_BR_NONE)\n',
    '\tint ret = X86_BR_NONE;\n',
  ],
  [
    'VLBR_SCHED_TASK_OF_TASK',
    'void intel_pmu_lbr_sched_task(struct a *a,\n\t\tstruct task_struct *task, bool in)\n{\n}\n',
    'void intel_pmu_lbr_sched_task(struct a *a, bool in)\n{\n\tstruct task_struct *t;\n}\n',
  ],
  [
    'VLBR_TASK_HAS_DATA',
    '\tdata = deref(task->perf_ctx_data);\n',
    '\tdata = ctx->task_ctx_data;\n',
    '\tperf_ctx_data(ctx);\n',
  ],
];

describe('driftMacros', () => {
  it.each(DRIFTS)('%s is always defined where the text has it', (macro, text) => {
    expect(driftMacros(text)).toEqual([macro]);
    expect(driftMacros(`int before;\n${text}int after;\n`)).toEqual([macro]);
  });
  it.each(DRIFTS)('%s is never defined for what only looks like it', (_macro, _text, ...others) => {
    for (const other of others) expect(driftMacros(other)).toEqual([]);
  });
  it('each of several drifts is found, whatever their order', () => {
    const all = DRIFTS.map(([macro]) => macro);
    const texts = DRIFTS.map(([, text]) => text);
    expect(driftMacros(texts.join('')).sort()).toEqual(all.toSorted());
    expect(driftMacros(texts.toReversed().join('')).sort()).toEqual(all.toSorted());
  });
  it('no drift is ever found in an empty text', () => {
    expect(driftMacros('')).toEqual([]);
  });
});

describe('includedHeaders', () => {
  it('includedHeaders gives the headers in angle brackets, in their order', () => {
    const text = '#include <linux/b.h>\n#include "../a.h"\n # include<asm/c/d.h> /* why */\n';
    expect(includedHeaders(text)).toEqual(['linux/b.h', 'asm/c/d.h']);
  });
  it('includedHeaders never takes a header from a comment or a string', () => {
    expect(includedHeaders('// #include <a.h>\nchar *s = "#include <b.h>";\n')).toEqual([]);
  });
});
