/** Actions of guest code that is no kernel function: branches, and the way into the kernel. */
import * as branch from '../../hw/branch.js';
import type { ActionKind } from '../action.js';
import type { Exploring, Try } from '../explored.js';
import { n, type Param, words } from '../param.js';

type BranchAction = 'call' | 'ret' | 'jmp' | 'jcc' | 'enter' | 'leave';

const CALLS: readonly number[] = [
  branch.BRANCH_REL_CALL,
  branch.BRANCH_IND_CALL,
  branch.BRANCH_ZERO_CALL,
];
const JUMPS: readonly number[] = [branch.BRANCH_REL_JMP, branch.BRANCH_IND_JMP];
const ENTRIES: readonly number[] = [branch.BRANCH_SYSCALL, branch.BRANCH_IRQ];

function kind(...names: readonly string[]): Param {
  return { name: 'kind', min: 0, max: names.length - 1, form: words(...names), implied: 0 };
}

/** What is not recorded leaves no trace, so nothing is tried then. */
function recorded(x: Exploring, v: number): boolean {
  return x.has('calls') && x.lbrOn(v);
}

/** Branches in a row that an exploration tries at the most. */
function mostInARow(x: Exploring): number {
  return x.has('runs') ? x.machine.config.model.lbr_nr + 1 : 1;
}

function eachCall(x: Exploring, v: number, can: Try): void {
  if (!recorded(x, v)) return;
  const { current } = x.machine.cpu(v).cpuctx;
  const room = x.bounds.calls - x.frames(x.machine.vcpus[v].vm, current);
  for (let i = 1; i <= Math.min(mostInARow(x), room); i++) can(i, 0, 0);
}

function eachReturn(x: Exploring, v: number, can: Try): void {
  if (!recorded(x, v)) return;
  for (let i = 1; i <= mostInARow(x); i++) can(i, 0, 0);
}

export const BRANCH_ACTIONS: Readonly<Record<BranchAction, ActionKind>> = {
  call: {
    code: 0,
    actor: 'vcpu',
    params: [n, kind('relative', 'indirect', 'zero-length')],
    weight: 10,
    says: 'n calls; a zero-length call is one to the next instruction, which no return matches',
    about: 'branch',
    possible: (_m, _v, a, b) => a >= 1 && CALLS[b] !== undefined,
    perform: (m, v, a, b) => m.branches(v, CALLS[b], a),
    draw(d): void {
      d.a = d.repeat();
      // Families are left without zero-length calls.
      if (d.draw.below(16) === 0 && !d.style.oneFamily) d.b = 2;
      else d.b = d.draw.below(4) === 0 ? 1 : 0;
    },
    explored: [{ groups: ['calls', 'runs'], when: 'at once', each: eachCall }],
  },
  ret: {
    code: 1,
    actor: 'vcpu',
    params: [n],
    weight: 6,
    says: 'n returns',
    about: 'branch',
    possible: (_m, _v, a) => a >= 1,
    perform: (m, v, a) => m.branches(v, branch.BRANCH_RET, a),
    explored: [{ groups: ['calls', 'runs'], when: 'at once', each: eachReturn }],
  },
  jmp: {
    code: 2,
    actor: 'vcpu',
    params: [n, kind('relative', 'indirect')],
    weight: 2,
    says: 'n jumps',
    about: 'branch',
    possible: (_m, _v, a, b) => a >= 1 && JUMPS[b] !== undefined,
    perform: (m, v, a, b) => m.branches(v, JUMPS[b], a),
    draw(d): void {
      d.a = d.repeat();
      d.b = d.draw.below(2);
    },
  },
  jcc: {
    code: 3,
    actor: 'vcpu',
    params: [n],
    weight: 2,
    says: 'n taken conditionals',
    about: 'branch',
    possible: (_m, _v, a) => a >= 1,
    perform: (m, v, a) => m.branches(v, branch.BRANCH_JCC, a),
  },
  enter: {
    code: 4,
    actor: 'vcpu',
    params: [kind('syscall', 'interrupt')],
    weight: 1,
    says: 'into the kernel',
    swarm: 'kernel entries',
    possible: (m, v, a) => m.cpl(v) === 3 && ENTRIES[a] !== undefined,
    perform: (m, v, a) => m.enterKernel(v, ENTRIES[a]),
    draw(d): void {
      d.a = d.draw.below(2);
    },
  },
  leave: {
    code: 5,
    actor: 'vcpu',
    params: [],
    weight: 4,
    says: 'back to user mode',
    swarm: 'kernel entries',
    possible: (m, v) => m.cpl(v) === 0,
    perform: (m, v) => m.leaveKernel(v, branch.BRANCH_IRET),
  },
};
