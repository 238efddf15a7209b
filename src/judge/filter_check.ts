/**
 * Whether the facility is set up for what the events that count ask for: `filter-true`. Judged on
 * the reference registers whenever a kernel function has returned, so that a PMI's legacy freeze is
 * over by then. It is the guest kernel's own doing, unless the VM is no longer the same guest.
 */
import * as perf from '../guest/perf/perf_event.js';
import { BRANCH_IRET, BRANCH_NAMES, BRANCH_ZERO_CALL } from '../hw/branch.js';
import type { LogicalProcessor } from '../hw/logical_processor.js';
import * as msrs from '../hw/msr_index.js';
import { totalVcpus } from '../machine/config.js';
import { callstackAsked, kindsAsked, levelAsked, refusesCallstack } from './asked.js';
import { countsOn } from './balance.js';
import { Check } from './check.js';
import { PROPERTY, REACH } from './properties.js';

export class FilterCheck extends Check {
  /** Per vCPU: the last LBR_SELECT and type that were found to agree. */
  private readonly goodSelect: Int32Array = this.hint(new Int32Array(totalVcpus(this.config)), -1);
  private readonly goodType: Int32Array = this.hint(new Int32Array(totalVcpus(this.config)), -1);

  /** Must be told of each perf_event_open(). */
  opened(vcpu: number, type: number, ret: number): void {
    const wanted = this.errno(type);
    if (ret === wanted) return;
    this.breaks(
      vcpu,
      () => `opening type 0x${type.toString(16)} returned ${ret} instead of ${wanted}`,
    );
  }

  /** What perf_event_open() is to return. */
  private errno(type: number): number {
    if ((type & ~perf.PERF_SAMPLE_BRANCH_PLM_ALL) === 0) return -perf.EINVAL;
    if (this.config.policy.withoutGuestLbr === true) return -perf.EOPNOTSUPP;
    if (!callstackAsked(type)) return 0;
    if (!this.reference.model.callstack) return -perf.EOPNOTSUPP;
    return refusesCallstack(type) ? -perf.EINVAL : 0;
  }

  private breaks(vcpu: number, text: () => string): void {
    this.reference.wrongAnywhere(vcpu, PROPERTY['filter-true'], () => `v${vcpu}: ${text()}`);
  }

  /** A kernel function has returned. */
  idle(vcpu: number): void {
    if (!this.reference.perfOwns(vcpu)) return;
    const { kernel, id } = this.machine().cpu(vcpu);
    const registers = this.reference.of(vcpu);
    let counts = 0;
    let ring = 0;
    for (const event of kernel.events) {
      if (!countsOn(event, id)) continue;
      const type = event.branch_sample_type;
      counts++;
      if (!callstackAsked(type)) ring++;
      this.select(vcpu, registers, type);
    }
    if (counts > 0) this.verdicts.reach[REACH['filter-judged']]++;
    const { debugctl } = registers;
    const on = (debugctl & msrs.DEBUGCTLMSR_LBR) !== 0;
    if (on !== counts > 0) {
      this.breaks(vcpu, () => `${counts} events count, DEBUGCTL.LBR is ${on ? 1 : 0}`);
    } else if (on) {
      this.freeze(vcpu, (debugctl & msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI) !== 0, ring > 0);
    }
  }

  /** Without a freeze the PMI's own branches are sampled; in call-stack mode a freeze moves TOS. */
  private freeze(vcpu: number, on: boolean, wanted: boolean): void {
    if (on === wanted) return;
    this.breaks(vcpu, () => `FREEZE_LBRS_ON_PMI is ${on ? 1 : 0}, not ${wanted ? 1 : 0}`);
  }

  /** Several events share one LBR_SELECT, so it has to do for each of them. */
  private select(vcpu: number, registers: LogicalProcessor, type: number): void {
    const { lbr_select } = registers.stack;
    if (this.goodType[vcpu] === type && this.goodSelect[vcpu] === lbr_select) return;
    const wrong = this.selectFault(registers, type);
    if (wrong === '') {
      this.goodType[vcpu] = type;
      this.goodSelect[vcpu] = lbr_select;
      return;
    }
    this.breaks(
      vcpu,
      () => `LBR_SELECT 0x${lbr_select.toString(16)} ${wrong} for type 0x${type.toString(16)}`,
    );
  }

  private selectFault(registers: LogicalProcessor, type: number): string {
    const { select } = registers.model;
    if (select === 'none') return '';
    const mode = (registers.stack.lbr_select & msrs.LBR_CALL_STACK) !== 0;
    if (mode !== callstackAsked(type)) return `${mode ? 'turns' : 'does not turn'} the mode on`;
    // In call-stack mode hardware itself leaves out a call to the next instruction.
    const kinds = kindsAsked(type) & (mode ? ~(1 << BRANCH_ZERO_CALL) : -1);
    for (let kind = 0; kind <= BRANCH_IRET; kind++) {
      if ((kinds & (1 << kind)) === 0) continue;
      if (levelAsked(type, true) && !registers.captures(kind, 0)) {
        return `drops the kernel's ${BRANCH_NAMES[kind]}`;
      }
      if (levelAsked(type, false) && !registers.captures(kind, 3)) {
        return `drops ${BRANCH_NAMES[kind]} of user mode`;
      }
    }
    return '';
  }
}
