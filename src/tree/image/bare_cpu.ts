/** A CPU without a hypervisor, as an image needs it. */
import type { CpuModel } from '../../hw/cpu_models.js';
import { LogicalProcessor } from '../../hw/logical_processor.js';
import { Layout, Memory } from '../../hw/memory.js';
import type { MsrPort, Vector } from '../../hw/msr_port.js';

const MSR_IA32_PMC0 = 0xc1;
const MSR_IA32_A_PMC0 = 0x4c1;
const COUNTERS_MOST = 8;

/** First MSR and number: PMC, PERFEVTSEL, FIXED_CTR, FIXED_CTR_CTRL and A_PMC. SDM: Vol. 4. */
const COUNTERS: readonly (readonly [first: number, count: number])[] = [
  [MSR_IA32_PMC0, COUNTERS_MOST],
  [0x186, COUNTERS_MOST],
  [0x309, 4],
  [0x38d, 1],
  [MSR_IA32_A_PMC0, COUNTERS_MOST],
];

function isCounter(msr: number): boolean {
  return COUNTERS.some(([first, count]) => msr >= first && msr < first + count);
}

/** IA32_A_PMC0 and up are IA32_PMC0 and up, with writes of full width. */
function narrow(msr: number): number {
  const wide = msr >= MSR_IA32_A_PMC0 && msr < MSR_IA32_A_PMC0 + COUNTERS_MOST;
  return wide ? msr - MSR_IA32_A_PMC0 + MSR_IA32_PMC0 : msr;
}

/** The LBR is the model's; a counter keeps what is written to it, and does not count. */
export class BareCpu implements MsrPort {
  edx = 0;
  vector: Vector = 0;
  readonly cpu: LogicalProcessor;
  private readonly counters = new Map<number, readonly [low: number, high: number]>();

  constructor(model: CpuModel) {
    const layout = new Layout();
    const at = LogicalProcessor.allocate(layout, model);
    this.cpu = new LogicalProcessor(new Memory(layout), model, at);
  }

  /** A general counter overflows: it is at 0, a period from where it began. */
  overflow(counter: number): void {
    this.counters.set(MSR_IA32_PMC0 + counter, [0, 0]);
    this.cpu.counterOverflow(counter);
  }

  rdmsr(msr: number): number {
    if (isCounter(msr)) {
      const [low, high] = this.counters.get(narrow(msr)) ?? [0, 0];
      [this.edx, this.vector] = [high, 0];
      return low;
    }
    const low = this.cpu.rdmsr(msr);
    [this.edx, this.vector] = [this.cpu.edx, this.cpu.vector];
    this.accessed('r', msr, low, this.edx);
    return low;
  }

  wrmsr(msr: number, eax: number, edx: number): Vector {
    if (isCounter(msr)) {
      this.counters.set(narrow(msr), [eax, edx]);
      return 0;
    }
    this.accessed('w', msr, eax, edx);
    return this.cpu.wrmsr(msr, eax, edx);
  }

  /** Told of each access, except those of counters. */
  protected accessed(_how: 'r' | 'w', _msr: number, _low: number, _high: number): void {}
}
