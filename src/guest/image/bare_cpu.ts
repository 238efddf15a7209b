/** A CPU without a hypervisor, as an image needs it. */
import type { CpuModel } from '../../hw/cpu_models.js';
import { LogicalProcessor } from '../../hw/logical_processor.js';
import { Layout, Memory } from '../../hw/memory.js';
import type { MsrPort, Vector } from '../../hw/msr_port.js';
import { COUNTER_WORDS, counterWord } from './counters.js';

/** The LBR is the model's; a counter keeps what is written to it, and does not count. */
export class BareCpu implements MsrPort {
  edx = 0;
  vector: Vector = 0;
  readonly cpu: LogicalProcessor;
  private readonly counters = new Int32Array(COUNTER_WORDS);

  constructor(model: CpuModel) {
    const layout = new Layout();
    const at = LogicalProcessor.allocate(layout, model);
    this.cpu = new LogicalProcessor(new Memory(layout), model, at);
  }

  /** A general counter overflows: it is at 0, a period from where it began. */
  overflow(counter: number): void {
    this.counters.fill(0, 2 * counter, 2 * counter + 2);
    this.cpu.counterOverflow(counter);
  }

  rdmsr(msr: number): number {
    const word = counterWord(msr);
    if (word >= 0) {
      [this.edx, this.vector] = [this.counters[word + 1], 0];
      return this.counters[word];
    }
    const low = this.cpu.rdmsr(msr);
    [this.edx, this.vector] = [this.cpu.edx, this.cpu.vector];
    this.accessed('r', msr, low, this.edx);
    return low;
  }

  wrmsr(msr: number, eax: number, edx: number): Vector {
    const word = counterWord(msr);
    if (word >= 0) {
      this.counters.set([eax, edx], word);
      return 0;
    }
    this.accessed('w', msr, eax, edx);
    return this.cpu.wrmsr(msr, eax, edx);
  }

  /** Told of each access, except those of counters. */
  protected accessed(_how: 'r' | 'w', _msr: number, _low: number, _high: number): void {}
}
