/** Functions in the text of C files. */
import { describe, expect, it } from 'vitest';
import { definitionsIn, functionsIn } from '../../src/tree/definitions.js';

const C = `/* a file(of) { C */
#define MACRO(x) { x }
static void __intel_pmu_lbr_restore(void *ctx);

static inline u64 rdlbr_from(unsigned int idx,
			     struct lbr_entry *lbr)
{
	if (lbr)
		call(idx) {
}

static noinstr void
vmx_vcpu_enter_exit(struct kvm_vcpu *vcpu, int (*fn)(int))
{
}

struct x86_pmu *x86_get_pmu(unsigned int cpu) __must_hold
{
}
core_initcall(init);
static DEFINE_PER_CPU(int, users) = { 0 };
static int (*pointer)(void) = NULL;
#ifdef CONFIG_X
static int twice(void)
{ return 1; }
#else
static int twice(void) { return 0; }
#endif
not_closed(
`;

describe('functionsIn', () => {
  it('finds each definition by the line of its name, and no declaration, macro or call', () => {
    expect([...functionsIn(C)]).toEqual([
      ['rdlbr_from', 5],
      ['vmx_vcpu_enter_exit', 13],
      ['x86_get_pmu', 17],
      ['twice', 24],
    ]);
  });
});

describe('definitionsIn', () => {
  it('names file and line, of a name in two files those of the first', () => {
    const files = [
      ['a.c', 'int one(void)\n{}\n'],
      ['b/c.c', '\nint one(void)\n{}\nint two(void)\n{}\n'],
    ] as const;
    expect([...definitionsIn(files)]).toEqual([
      ['one', 'a.c:1'],
      ['two', 'b/c.c:4'],
    ]);
  });
});
