/** Raw accesses of a guest to LBR MSRs, perf aside. */
import { addressHigh, BRANCH_NONE, branchCycles } from '../../hw/branch.js';
import * as msrs from '../../hw/msr_index.js';
import type { ActionKind } from '../action.js';
import type { Drawing } from '../drawing.js';
import type { Exploring, Try } from '../explored.js';
import { HEX, type Param } from '../param.js';

type MsrAction = 'rdmsr' | 'wrmsr';

const WORD_MAX = 0xffffffff;

/** Any register may be what matters, so none is better than another. */
const msr: Param = {
  name: 'msr',
  min: 0,
  max: WORD_MAX,
  form: HEX,
  liking: { cost: () => 0, first: [], halves: false },
};
const eax: Param = { name: 'eax', min: 0, max: WORD_MAX, form: HEX, implied: 0 };
const edx: Param = { name: 'edx', min: 0, max: WORD_MAX, form: HEX, implied: 0 };

/** The high word of a value that no LBR register takes as an address. */
const NOT_CANONICAL_HI = 0x00ff0000;

/** What a raw write leaves as an address's low word: far above the numbers that branches get. */
export const RAW_VALUE = 0x1000;

/**
 * Bits of DEBUGCTL that KVM gives a guest only with RTM, drops, and keeps for the host; and a bit
 * that no CPU here has (BUS_LOCK_DETECT).
 */
const RARE_DEBUGCTL: readonly number[] = [
  msrs.DEBUGCTLMSR_RTM_DEBUG,
  msrs.DEBUGCTLMSR_BTF,
  msrs.DEBUGCTLMSR_FREEZE_IN_SMM,
  msrs.DEBUGCTLMSR_BUS_LOCK_DETECT,
];

function drawMsr({ machine, draw }: Drawing): number {
  const { lbr_from, lbr_to, lbr_info, lbr_nr } = machine.config.model;
  switch (draw.below(8)) {
    case 0:
      return msrs.MSR_LBR_TOS;
    case 1:
      return msrs.MSR_LBR_SELECT;
    case 2:
      return msrs.MSR_IA32_DEBUGCTLMSR;
    case 3:
      return lbr_to + draw.below(lbr_nr);
    case 4:
      return (lbr_info === 0 ? lbr_from : lbr_info) + draw.below(lbr_nr);
    default:
      return lbr_from + draw.below(lbr_nr);
  }
}

/** Bits of DEBUGCTL beside LBR, from a number in [0, 32): mostly those that Linux writes. */
function drawnDebugctl(number: number): number {
  const freeze = number % 2 === 0 ? 0 : msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;
  return freeze | (RARE_DEBUGCTL[number >> 1] ?? 0);
}

/** Mostly a value that the register takes, with the address of the one who writes in it. */
function drawWrite(d: Drawing, v: number): void {
  const { machine, draw } = d;
  const { vm, cpu } = machine.vcpus[v];
  d.a = drawMsr(d);
  const { lbr_info, lbr_nr } = machine.config.model;
  if (d.a === msrs.MSR_IA32_DEBUGCTLMSR) {
    d.b = draw.below(2) | drawnDebugctl(draw.below(32));
  } else if (d.a === msrs.MSR_LBR_SELECT) {
    d.b = draw.below(2) === 0 ? 0 : draw.below(512);
  } else if (d.a === msrs.MSR_LBR_TOS) {
    d.b = draw.below(lbr_nr);
  } else if (lbr_info !== 0 && d.a >= lbr_info) {
    d.b = branchCycles(vm, draw.below(4096));
  } else if (draw.below(2) === 0) {
    const { current } = machine.cpu(v).cpuctx;
    d.b = 1 + draw.below(0xffff);
    d.c = addressHigh(draw.below(2) === 0, BRANCH_NONE, vm, cpu, current);
  }
  if (draw.below(16) === 0) d.c = NOT_CANONICAL_HI;
}

function eachRead({ machine }: Exploring, _v: number, can: Try): void {
  const { lbr_from, lbr_info } = machine.config.model;
  for (const index of [msrs.MSR_LBR_TOS, lbr_from, lbr_from + 1]) can(index, 0, 0);
  if (lbr_info !== 0) can(lbr_info, 0, 0);
}

function eachWrite({ machine }: Exploring, v: number, can: Try): void {
  const { lbr_from, select } = machine.config.model;
  const { vm, cpu } = machine.vcpus[v];
  const own = addressHigh(false, BRANCH_NONE, vm, cpu, machine.cpu(v).cpuctx.current);
  can(lbr_from, RAW_VALUE, own);
  can(lbr_from, 0, NOT_CANONICAL_HI);
  can(msrs.MSR_IA32_DEBUGCTLMSR, msrs.DEBUGCTLMSR_LBR, 0);
  can(msrs.MSR_IA32_DEBUGCTLMSR, 0, 0);
  if (select !== 'none') can(msrs.MSR_LBR_SELECT, 1, 0);
}

export const MSR_ACTIONS: Readonly<Record<MsrAction, ActionKind>> = {
  rdmsr: {
    code: 14,
    actor: 'vcpu',
    params: [msr],
    weight: 4,
    says: 'a raw RDMSR by the guest, perf aside',
    outside: 'other',
    swarm: 'raw reads',
    about: 'msr',
    runsFunction: true,
    perform: (m, v, a) => m.rdmsr(v, a),
    draw(d): void {
      d.a = drawMsr(d);
    },
    explored: [{ groups: ['raw'], when: 'function', each: eachRead }],
  },
  wrmsr: {
    code: 15,
    actor: 'vcpu',
    params: [msr, eax, edx],
    weight: 2,
    says: 'a raw WRMSR by the guest, perf aside',
    outside: 'other',
    swarm: 'raw writes',
    about: 'msr',
    runsFunction: true,
    perform: (m, v, a, b, c) => m.wrmsr(v, a, b, c),
    draw: drawWrite,
    explored: [{ groups: ['raw'], when: 'function', each: eachWrite }],
  },
};
