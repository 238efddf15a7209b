/**
 * Models one logical processor's debug, LBR and global performance-monitoring registers.
 *
 * SDM: Vol. 3B, "Last Branch, Interrupt, and Exception Recording Overview", "IA32_DEBUGCTL MSR",
 * "LBR Stack", "Filtering of Last Branch Records", "Freezing LBR and Performance Counters on PMI".
 * Left out: BTS, BTF, LER, PEBS, Intel PT, counters (FIDELITY, "Hardware").
 */
import type { CpuModel } from './cpu_models.js';
import {
  LBR_FORMAT_32,
  LBR_FORMAT_EIP_FLAGS,
  LBR_FORMAT_EIP_FLAGS2,
  LBR_FORMAT_TIME,
} from './cpu_models.js';
import { BRANCH_IND_CALL, BRANCH_REL_CALL, BRANCH_RET, BRANCH_ZERO_CALL } from './branch.js';
import { SELECT_BIT } from './branch.js';
import { KIND_NONE, type LbrMap, lbrMap, recordWords } from './lbr_map.js';
import { LbrStack } from './lbr_stack.js';
import type { Layout, Memory } from './memory.js';
import { GP_VECTOR, type MsrPort, type Vector } from './msr_port.js';
import * as msrs from './msr_index.js';

const DEBUGCTL = 0;
const SELECT = 1;
const TOS = 2;
const STATUS_LO = 3;
const STATUS_HI = 4;
const CTRL_LO = 5;
const CTRL_HI = 6;
const STACK = 7;

/** Four general and three fixed counters, as on every model of the table. */
export const GLOBAL_CTRL_LO = 0xf;
export const GLOBAL_CTRL_HI = 0x7;
/** Number of the first fixed counter, as in the registers of all counters. */
export const FIXED_COUNTER = 32;

const DEBUGCTL_ALWAYS: number =
  msrs.DEBUGCTLMSR_LBR |
  msrs.DEBUGCTLMSR_BTF |
  msrs.DEBUGCTLMSR_TR |
  msrs.DEBUGCTLMSR_BTS |
  msrs.DEBUGCTLMSR_BTINT |
  msrs.DEBUGCTLMSR_BTS_OFF_OS |
  msrs.DEBUGCTLMSR_BTS_OFF_USR |
  msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI |
  msrs.DEBUGCTLMSR_FREEZE_PERFMON_ON_PMI |
  msrs.DEBUGCTLMSR_UNCORE_PMI |
  msrs.DEBUGCTLMSR_FREEZE_IN_SMM;

/** Bits of IA32_DEBUGCTL that a WRMSR may set. SDM: Vol. 3B, "IA32_DEBUGCTL MSR". */
export function debugctlValid(model: CpuModel): number {
  return DEBUGCTL_ALWAYS | (model.tsx ? msrs.DEBUGCTLMSR_RTM_DEBUG : 0);
}

/** One logical processor. Its registers are shared by everything that runs on it. */
export class LogicalProcessor implements MsrPort {
  readonly model: CpuModel;
  readonly stack: LbrStack;
  edx = 0;
  vector: Vector = 0;
  private readonly words: Int32Array;
  /** Word offset of all that is the processor's. */
  readonly o: number;
  private readonly records: number;
  private readonly stride: number;
  private readonly mask: number;
  private readonly map: LbrMap;

  constructor(memory: Memory, model: CpuModel, offset: number) {
    this.words = memory.words;
    this.model = model;
    this.o = offset;
    this.records = offset + STACK;
    this.stride = recordWords(model);
    this.mask = model.lbr_nr - 1;
    this.map = lbrMap(model);
    this.stack = new LbrStack(memory, model, offset + SELECT, offset + TOS, offset + STACK);
  }

  static allocate(layout: Layout, model: CpuModel): number {
    return layout.take(STACK + model.lbr_nr * recordWords(model));
  }

  get debugctl(): number {
    return this.words[this.o + DEBUGCTL];
  }

  /** VM entry, VM exit and freezing write IA32_DEBUGCTL without a WRMSR. */
  set debugctl(value: number) {
    this.words[this.o + DEBUGCTL] = value;
  }

  /** Whether a taken branch would be considered for recording now. */
  get recording(): boolean {
    if ((this.words[this.o + DEBUGCTL] & msrs.DEBUGCTLMSR_LBR) === 0) return false;
    return (this.words[this.o + STATUS_HI] & msrs.GLOBAL_STATUS_LBRS_FROZEN_HI) === 0;
  }

  rdmsr(msr: number): number {
    const { words, o } = this;
    this.edx = 0;
    this.vector = 0;
    switch (msr) {
      case msrs.MSR_IA32_DEBUGCTLMSR:
        return words[o + DEBUGCTL];
      case msrs.MSR_IA32_PERF_CAPABILITIES:
        return this.model.lbr_format | msrs.PERF_CAP_FREEZE_IN_SMM;
      case msrs.MSR_CORE_PERF_GLOBAL_STATUS:
        this.edx = words[o + STATUS_HI];
        return words[o + STATUS_LO];
      case msrs.MSR_CORE_PERF_GLOBAL_CTRL:
        this.edx = words[o + CTRL_HI];
        return words[o + CTRL_LO];
      case msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL:
        return 0;
      default:
        if (this.map.kind(msr) === KIND_NONE) break;
        this.edx = this.stack.readHigh(msr);
        return this.stack.readLow(msr);
    }
    this.vector = GP_VECTOR;
    return 0;
  }

  wrmsr(msr: number, eax: number, edx: number): Vector {
    const { words, o } = this;
    switch (msr) {
      case msrs.MSR_IA32_DEBUGCTLMSR:
        if (edx !== 0 || (eax & ~debugctlValid(this.model)) !== 0) return GP_VECTOR;
        words[o + DEBUGCTL] = eax;
        return 0;
      case msrs.MSR_CORE_PERF_GLOBAL_CTRL:
        if ((eax & ~GLOBAL_CTRL_LO) !== 0 || (edx & ~GLOBAL_CTRL_HI) !== 0) return GP_VECTOR;
        words[o + CTRL_LO] = eax;
        words[o + CTRL_HI] = edx;
        return 0;
      case msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL:
        if ((eax & ~GLOBAL_CTRL_LO) !== 0 || (edx & ~this.statusHigh()) !== 0) return GP_VECTOR;
        words[o + STATUS_LO] &= ~eax;
        words[o + STATUS_HI] &= ~edx;
        return 0;
      case msrs.MSR_CORE_PERF_GLOBAL_STATUS_SET:
        if (this.model.pmu_version < 4 || (edx & msrs.GLOBAL_STATUS_COND_CHG_HI) !== 0) {
          return GP_VECTOR;
        }
        if ((eax & ~GLOBAL_CTRL_LO) !== 0 || (edx & ~this.statusHigh()) !== 0) return GP_VECTOR;
        words[o + STATUS_LO] |= eax;
        words[o + STATUS_HI] |= edx;
        return 0;
      default:
        if (this.map.faults(msr, eax, edx)) return GP_VECTOR;
        this.stack.write(msr, eax, edx);
        return 0;
    }
  }

  /** High bits of GLOBAL_STATUS that software may clear or set on this model. */
  private statusHigh(): number {
    const frozen = msrs.GLOBAL_STATUS_LBRS_FROZEN_HI | msrs.GLOBAL_STATUS_COUNTERS_FROZEN_HI;
    return (
      GLOBAL_CTRL_HI | msrs.GLOBAL_STATUS_COND_CHG_HI | (this.model.pmu_version >= 4 ? frozen : 0)
    );
  }

  /**
   * Whether LBR_SELECT lets a branch of this kind through that ends in ring `cpl`. In call-stack
   * mode a zero-length call is no frame except by erratum HSD080.
   */
  captures(kind: number, cpl: number): boolean {
    if (this.model.select === 'none') return true;
    const select = this.words[this.o + SELECT];
    if ((select & (cpl === 0 ? msrs.LBR_KERNEL : msrs.LBR_USER)) !== 0) return false;
    if ((select & SELECT_BIT[kind]) !== 0) return false;
    if (kind === BRANCH_ZERO_CALL && (select & msrs.LBR_CALL_STACK) !== 0) {
      return this.model.zeroCallPushed;
    }
    if (this.model.select !== 'nhm') return true;
    // Nehalem's jump bits reach calls and returns as well, which is why Linux leaves them 0.
    if (kind === BRANCH_REL_CALL || kind === BRANCH_ZERO_CALL) {
      return (select & msrs.LBR_REL_JMP) === 0;
    }
    if (kind === BRANCH_IND_CALL) return (select & msrs.LBR_IND_JMP) === 0;
    if (kind === BRANCH_RET) return (select & (msrs.LBR_REL_JMP | msrs.LBR_IND_JMP)) === 0;
    return true;
  }

  /**
   * Records a taken branch, if the facility is on and the filter lets the branch through. `cpl` is
   * the privilege level after the branch.
   *
   * SDM: Vol. 3B, "LBR Stack"; call-stack mode: "Last Branch, Call Stack, Interrupt, and Exception
   * Recording for Processors Based on Haswell Microarchitecture".
   *
   * @param cycles - core cycles since the last record, in [0, 0xffff].
   */
  branch(
    kind: number,
    cpl: number,
    fromLo: number,
    fromHi: number,
    toLo: number,
    toHi: number,
    mispredicted: boolean,
    cycles: number,
  ): void {
    if (!this.recording || !this.captures(kind, cpl)) return;
    const { words, o, mask } = this;
    const tos = words[o + TOS];
    if (kind === BRANCH_RET && (words[o + SELECT] & msrs.LBR_CALL_STACK) !== 0) {
      // A return is never compared with its call: it flushes whatever is newest.
      const at = this.records + tos * this.stride;
      words.fill(0, at, at + this.stride);
      words[o + TOS] = (tos - 1) & mask;
      return;
    }
    const next = (tos + 1) & mask;
    words[o + TOS] = next;
    this.store(this.records + next * this.stride, fromLo, fromHi, toLo, toHi, mispredicted, cycles);
  }

  /** Stores a record in the model's format. SDM: Vol. 3B, "LBR Stack and Intel 64 Processors". */
  private store(
    at: number,
    fromLo: number,
    fromHi: number,
    toLo: number,
    toHi: number,
    mispredicted: boolean,
    cycles: number,
  ): void {
    const { words } = this;
    const flag = mispredicted ? msrs.LBR_FROM_FLAG_MISPRED_HI : 0;
    words[at] = fromLo;
    words[at + 1] = fromHi;
    words[at + 2] = toLo;
    words[at + 3] = toHi;
    switch (this.model.lbr_format) {
      case LBR_FORMAT_32:
        words[at + 1] = toLo;
        break;
      case LBR_FORMAT_EIP_FLAGS:
        words[at + 1] = (fromHi & 0x7fffffff) | flag;
        break;
      case LBR_FORMAT_EIP_FLAGS2:
        // Bits 62:61 are the transaction flags, off outside transactions even without TSX.
        words[at + 1] = (fromHi & 0x1fffffff) | flag;
        break;
      case LBR_FORMAT_TIME:
        words[at + 1] = (fromHi & 0x7fffffff) | flag;
        words[at + 3] = (toHi & 0xffff) | (cycles << 16);
        break;
    }
    if (this.stride === 6) {
      words[at + 4] = cycles;
      words[at + 5] = mispredicted ? msrs.LBR_INFO_MISPRED_HI : 0;
    }
  }

  /**
   * What a counter overflow with its PMI enabled does to the facility.
   *
   * SDM: Vol. 3B, "Freezing LBR and Performance Counters on PMI": legacy freezing clears
   * DEBUGCTL.LBR and GLOBAL_CTRL, streamlined freezing (version 4) sets LBR_FRZ and CTR_FRZ.
   */
  counterOverflow(counter: number): void {
    const { words, o } = this;
    const debugctl = words[o + DEBUGCTL];
    const lbrs = (debugctl & msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI) !== 0;
    const counters = (debugctl & msrs.DEBUGCTLMSR_FREEZE_PERFMON_ON_PMI) !== 0;
    // A shift is by the low five bits: fixed counters are from 32 on.
    words[o + (counter < FIXED_COUNTER ? STATUS_LO : STATUS_HI)] |= 1 << counter;
    if (this.model.pmu_version >= 4) {
      if (lbrs) words[o + STATUS_HI] |= msrs.GLOBAL_STATUS_LBRS_FROZEN_HI;
      if (counters) words[o + STATUS_HI] |= msrs.GLOBAL_STATUS_COUNTERS_FROZEN_HI;
      return;
    }
    if (lbrs) words[o + DEBUGCTL] = debugctl & ~msrs.DEBUGCTLMSR_LBR;
    if (counters) {
      words[o + CTRL_LO] = 0;
      words[o + CTRL_HI] = 0;
    }
  }

  /**
   * A C-state deep enough to lose the records. DEBUGCTL, LBR_SELECT and LBR_FRZ survive.
   *
   * SDM: Vol. 3B, "LBR Behavior and Deep C-State".
   */
  deepCState(): void {
    if (this.model.cstateWipe) this.stack.wipe();
  }
}
