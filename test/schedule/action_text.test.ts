/** The text form of actions: what is printed reads back, and errors are reported. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MSR_LBR_TOS } from '../../src/hw/msr_index.js';
import { hex } from '../../src/hw/u64.js';
import { actionProblem, actionText, parseAction } from '../../src/schedule/action_text.js';
import type { Param } from '../../src/schedule/param.js';
import { type Action, ACTION_NAMES, ACTIONS } from '../../src/schedule/table.js';

/** Every value that a replay file may give a parameter. */
function valueOf({ min, max }: Param): fc.Arbitrary<number> {
  const value = fc.oneof(
    fc.integer({ min, max }),
    fc.integer({ min, max: Math.min(max, min + 3) }),
    fc.constant(max),
  );
  return value.map((v) => (max === 0xffffffff ? v | 0 : v));
}

const anyAction: fc.Arbitrary<Action> = fc.constantFrom(...ACTION_NAMES).chain((kind) =>
  fc.record({
    kind: fc.constant(kind),
    actor: fc.integer({ min: 0, max: 63 }),
    args: fc.tuple(...ACTIONS[kind].params.map(valueOf)),
  }),
);

describe('the text of an action', () => {
  it('the text of any action reads back as the same action', () => {
    fc.assert(
      fc.property(anyAction, (action) => {
        expect(parseAction(actionText(action))).toEqual(action);
        expect(actionProblem(action)).toBeNull();
      }),
      { numRuns: 2000 },
    );
  });

  it('different actions have different texts', () => {
    fc.assert(
      fc.property(anyAction, anyAction, (one, two) => {
        const same = JSON.stringify(one) === JSON.stringify(two);
        expect(actionText(one) === actionText(two)).toBe(same);
      }),
      { numRuns: 2000 },
    );
  });

  it('the text of an action may have numbers for names, blanks, and any order', () => {
    const open = { kind: 'open', actor: 0, args: [1, 2, 0x801] };
    expect(parseAction('v0: open task=1 attr=inherited type=CALL_STACK|USER')).toEqual(open);
    expect(parseAction(' v0:  open type=0x801 attr=2  task=1 ')).toEqual(open);
    expect(parseAction('v0: open task=1 attr=inherited type=USER|2048')).toEqual(open);
    const on = { kind: 'hostEvent', actor: 1, args: [2, 0] };
    expect(parseAction('p1: hostEvent which=flexible op=on')).toEqual(on);
    expect(parseAction('p1: hostEvent which=2 op=0')).toEqual(on);
    const tos = [MSR_LBR_TOS, 0, -1];
    expect(parseAction(`v3: wrmsr msr=${hex(MSR_LBR_TOS)} edx=0xffffffff`).args).toEqual(tos);
  });

  it.each([
    ['', /'' is no action; write it as 'v0: call n=3'/],
    ['call n=3', /is no action/],
    ['x0: call', /is no action/],
    ['v0 call', /is no action/],
    ['v0: jump', /no action 'jump'; there are: call ret/],
    ['v0: toString', /no action 'toString'/],
    ['v0: run vcpu=1', /run belongs to a pcpu: write 'p0: run'/],
    ['p2: call', /call belongs to a vcpu: write 'v2: call'/],
    ['v0: call m=3', /call has no parameter 'm'; it has: n, kind/],
    ['v0: leave n=3', /leave has no parameter 'n'; it has: none/],
    ['v0: call n=3 n=4', /call: n is given twice/],
    ['v0: call n=three', /call: n=three must be a whole number/],
    ['v0: call n=1.5', /must be a whole number/],
    ['v0: call kind=direct', /kind=direct must be one of relative, indirect, zero-length/],
    ['v0: taskSwitch', /taskSwitch needs task=, which is a whole number/],
    ['v0: open task=0 type=STACK', /type=STACK must be one or more of CALL_STACK\|ANY/],
    ['v0: open task=0 type=', /type= must be one or more of/],
    ['v0: rdmsr msr=LBR', /msr=LBR must be a number such as 0x1d9/],
  ])('the text of an action is refused as %j', (line, message) => {
    expect(() => parseAction(line)).toThrow(message);
  });
});

describe('the numbers of an action', () => {
  it('a number of an action outside its range is refused by its name', () => {
    for (const kind of ACTION_NAMES) {
      const { params } = ACTIONS[kind];
      const least = params.map(({ min }) => min);
      expect(actionProblem({ kind, actor: 0, args: least })).toBeNull();
      params.forEach(({ name, min, max }, i) => {
        const range = `${name} is .*; it must be between ${min} and ${max}`;
        for (const wrong of max === 0xffffffff ? [] : [min - 1, max + 1]) {
          const args = least.map((value, j) => (j === i ? wrong : value));
          expect(actionProblem({ kind, actor: 0, args })).toMatch(new RegExp(range));
        }
      });
      for (const actor of [-1, 64, NaN]) {
        expect(actionProblem({ kind, actor, args: least })).toMatch(/^actor/);
      }
    }
  });
});
