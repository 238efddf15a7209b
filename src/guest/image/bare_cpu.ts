/** A CPU without a hypervisor, as an image needs it. */
import type { CpuModel } from '../../hw/cpu_models.js';
import { LogicalProcessor } from '../../hw/logical_processor.js';
import { Layout, Memory } from '../../hw/memory.js';
import type { MsrPort, Vector } from '../../hw/msr_port.js';
import { vmxMsr } from '../../hw/vmx_msrs.js';
import { COUNTER_WORDS, Counters } from './counters.js';

/** The LBR is the model's. */
export class BareCpu implements MsrPort {
  edx = 0;
  vector: Vector = 0;
  readonly cpu: LogicalProcessor;
  private readonly counters = new Counters(new Int32Array(COUNTER_WORDS));

  constructor(model: CpuModel) {
    const layout = new Layout();
    const at = LogicalProcessor.allocate(layout, model);
    this.cpu = new LogicalProcessor(new Memory(layout), model, at);
  }

  /** A general counter overflows. */
  overflow(counter: number): void {
    this.counters.overflow(counter);
    this.cpu.counterOverflow(counter);
  }

  rdmsr(msr: number): number {
    const constant = vmxMsr(msr);
    if (constant !== undefined) {
      [this.edx, this.vector] = [constant[1], 0];
      return constant[0];
    }
    const isCounter = this.counters.has(msr);
    const from = isCounter ? this.counters : this.cpu;
    const low = from.rdmsr(msr);
    [this.edx, this.vector] = [from.edx, from.vector];
    if (!isCounter) this.accessed('r', msr, low, this.edx);
    return low;
  }

  wrmsr(msr: number, eax: number, edx: number): Vector {
    if (this.counters.has(msr)) return this.counters.wrmsr(msr, eax, edx);
    if (vmxMsr(msr) !== undefined) return 0;
    this.accessed('w', msr, eax, edx);
    return this.cpu.wrmsr(msr, eax, edx);
  }

  /** Told of each access, except those of counters. */
  protected accessed(_how: 'r' | 'w', _msr: number, _low: number, _high: number): void {}
}
