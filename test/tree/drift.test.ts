/** What drift.ts finds in the text of an lbr.c. The snippets are written for this test. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { driftMacros, includedHeaders } from '../../src/tree/drift.js';

/** A macro, a text with its pattern, and texts that merely resemble the pattern. */
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
    'VLBR_TARGET_HAS_USERS',
    '\tstruct task_struct *task = event->hw.target;\n',
    // perf_ctx_data shows where a task's data lies, not for whom users are counted.
    '\tdata = deref(task->perf_ctx_data);\n',
    '\tdata = event->ctx->task_ctx_data;\n',
    '\ttask = hw_target(event);\n',
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

/** The first release with each commit. An older tree has the commit only as a backport. */
const FIRST_RELEASE: Readonly<Record<string, string>> = {
  '4462fbfe6ec1': '6.1',
  '1fbc6c8e5289': '6.15',
  d57e94f5b891: '6.15',
  '3cec9fd03543': '6.15',
};

describe('the comments of drift.ts', () => {
  const text = readFileSync(new URL('../../src/tree/drift.ts', import.meta.url), 'utf8');

  it('the comments of drift.ts name each commit with the first release that has it', () => {
    // A comment belongs to the entry below it.
    const comments = text.split(/^ {2}\{$|^ {2}\{ macro.*$/m);
    const labels = comments.filter((comment) => /\b[0-9a-f]{12}\b/.test(comment));
    const commits = labels.flatMap((label) => label.match(/\b[0-9a-f]{12}\b/g) ?? []);
    expect(commits.sort()).toEqual(Object.keys(FIRST_RELEASE).sort());
    for (const label of labels) {
      const [commit] = label.match(/\b[0-9a-f]{12}\b/) ?? [''];
      expect([commit, label.includes(FIRST_RELEASE[commit])]).toEqual([commit, true]);
    }
    expect(text).not.toContain('6.13');
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
