/**
 * What a sample holds, record by record, against the reference registers: `sample-true`. The
 * sample is taken where these are what the handler has read, for no branch comes in between.
 */
import type { Cpu } from '../guest/perf/kernel.js';
import * as perf from '../guest/perf/perf_event.js';
import { addressIsKernel } from '../hw/branch.js';
import { LBR_FORMAT_32, LBR_FORMAT_LIP, LBR_FORMAT_TIME } from '../hw/cpu_models.js';
import { recordWords } from '../hw/lbr_map.js';
import * as msrs from '../hw/msr_index.js';
import type { LbrStack } from '../hw/lbr_stack.js';
import {
  ASKS_TX,
  callstackAsked,
  everythingAsked,
  kindsAsked,
  recordAsked,
  typeAsked,
} from './asked.js';
import { countsOn } from './balance.js';
import { Check } from './check.js';
import { PROPERTY, REACH } from './properties.js';

/** Flags of an entry that are not its cycles and type. */
const FLAGS: number = (1 << perf.BRANCH_CYCLES_SHIFT) - 1;
const CYCLES = 0xffff;
const TYPE = 0xf;

/** The high word of a canonical address, whatever flags or cycles lie above bit 47. */
function canonical(hi: number): number {
  return addressIsKernel(hi) ? hi | (0xffff8000 | 0) : hi & 0x7fff;
}

export class SampleTruth extends Check {
  private readonly format: number = this.reference.model.lbr_format;
  private readonly hasInfo: boolean = this.reference.model.lbr_info !== 0;
  private readonly stride: number = recordWords(this.reference.model);
  /** Entry of the sample that is judged. */
  private at = 0;

  sample(vcpu: number, event: number): void {
    const cpu = this.machine().cpu(vcpu);
    const type = cpu.kernel.events[event].branch_sample_type;
    if (!this.judged(vcpu, cpu, type)) return;
    this.verdicts.reach[REACH['sample-judged']]++;
    const wrong = this.compare(cpu, this.reference.of(vcpu).stack, type);
    if (wrong === '') return;
    const { at } = this;
    this.reference.wrongSample(
      vcpu,
      PROPERTY['sample-true'],
      () => `v${vcpu}: entry ${at} of a sample of type 0x${type.toString(16)} ${wrong}`,
    );
  }

  /**
   * Whether there is one truth. Events that count together share a filter, which is that of the
   * last one; an NMI inside a kernel function sees the middle of it; raw writes make records that
   * belong to no instruction.
   */
  private judged(vcpu: number, cpu: Cpu, type: number): boolean {
    if ((type & ASKS_TX) !== 0 || this.format === LBR_FORMAT_32) return false;
    if (this.machine().ports[vcpu].nested || !this.reference.perfOwns(vcpu)) return false;
    return this.alike(cpu, type);
  }

  /** Whether all events that count on a CPU ask for the same. */
  private alike({ id, kernel }: Cpu, type: number): boolean {
    for (const event of kernel.events) {
      if (countsOn(event, id) && event.branch_sample_type !== type) return false;
    }
    return true;
  }

  /** Returns what is wrong with entry `at`, or nothing. */
  private compare(cpu: Cpu, stack: LbrStack, type: number): string {
    const { words } = this.reference;
    const { lbr_nr } = this.reference.model;
    const { tos, records } = stack;
    const nr = cpu.cpuc.lbr_stack_nr;
    const mask = kindsAsked(type);
    const everything = everythingAsked(type);
    const callstack = callstackAsked(type);
    this.at = 0;
    for (let i = 0; i < lbr_nr; i++) {
      const record = records + ((tos - i) & (lbr_nr - 1)) * this.stride;
      const fromHi = canonical(words[record + 1]);
      const empty = (words[record] | words[record + 1]) === 0;
      if (empty && callstack) break;
      if (!everything) {
        const toHi = canonical(words[record + 3]);
        if (empty || !recordAsked(type, mask, fromHi, toHi)) continue;
      }
      if (this.at >= nr) return 'is missing';
      const wrong = this.compareEntry(cpu, record, type, empty);
      if (wrong !== '') return wrong;
      this.at++;
    }
    if (this.at < nr) return 'should not be there';
    // The TOS of an empty stack means nothing.
    if (nr === 0 || (type & perf.PERF_SAMPLE_BRANCH_HW_INDEX) === 0) return '';
    this.at--;
    return cpu.cpuc.lbr_stack_hw_idx === tos ? '' : 'is the last, and hw_idx is not TOS';
  }

  private compareEntry(cpu: Cpu, record: number, type: number, empty: boolean): string {
    const { words } = this.reference;
    const sample = cpu.kernel.words;
    const entry = cpu.lbr_entry(this.at);
    const fromHi = canonical(words[record + 1]);
    if (sample[entry] !== words[record]) return 'is another record';
    if (sample[entry + 1] !== fromHi) return 'has a wrong source';
    if (sample[entry + 2] !== words[record + 2]) return "has another record's target";
    if (sample[entry + 3] !== canonical(words[record + 3])) return 'has a wrong target';
    const flags = sample[entry + 4];
    const saved = (flags >>> perf.BRANCH_TYPE_SHIFT) & TYPE;
    if (saved !== typeAsked(type, fromHi)) return 'has a wrong branch type';
    if (empty) return '';
    if ((type & perf.PERF_SAMPLE_BRANCH_NO_FLAGS) === 0) {
      if ((flags & FLAGS) !== this.flags(record)) return 'has wrong flags';
    }
    if ((type & perf.PERF_SAMPLE_BRANCH_NO_CYCLES) === 0) {
      if (((flags >>> perf.BRANCH_CYCLES_SHIFT) & CYCLES) !== this.cycles(record)) {
        return 'has wrong cycles';
      }
    }
    return '';
  }

  /** Whether the record was predicted, where hardware says so; it is in no transaction. */
  private flags(record: number): number {
    const { words } = this.reference;
    if (this.format === LBR_FORMAT_LIP) return 0;
    const missed = this.hasInfo
      ? words[record + 5] & msrs.LBR_INFO_MISPRED_HI
      : words[record + 1] & msrs.LBR_FROM_FLAG_MISPRED_HI;
    return missed !== 0 ? perf.BRANCH_MISPRED : perf.BRANCH_PREDICTED;
  }

  private cycles(record: number): number {
    const { words } = this.reference;
    if (this.hasInfo) return words[record + 4] & msrs.LBR_INFO_CYCLES;
    return this.format === LBR_FORMAT_TIME ? words[record + 3] >>> 16 : 0;
  }
}
