/** Exception vector raised by an MSR access; 0 means none. */
export type Vector = 0 | 13;

export const GP_VECTOR = 13;

/**
 * How software reaches MSRs: the host's kernel on hardware, a guest's kernel through KVM. A value
 * is a pair (eax, edx), as in the instructions.
 */
export interface MsrPort {
  /** High half of the value that the last `rdmsr` returned. */
  edx: number;
  /** Vector of the last `rdmsr`; then eax and edx are 0. */
  vector: Vector;
  /** Returns eax and leaves edx in `edx`. */
  rdmsr(msr: number): number;
  wrmsr(msr: number, eax: number, edx: number): Vector;
  /** Reads and writes a word of memory, where the port may run a function twice. */
  loadWord?(at: number): number;
  storeWord?(at: number, value: number): void;
  /** WRMSR of the IA32_PERFEVTSELx that turns a general counter on or off, where that matters. */
  setCounter?(counter: number, on: boolean): void;
}
