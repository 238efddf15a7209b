/** VMX of the CPUs, for a kernel whose KVM runs. Addresses are of the instance's memory. */
export interface VmxHooks {
  /** High half of what VMREAD has read last. */
  readonly high: number;
  /** Whether there is a VMCS that VMREAD would read. */
  isCurrent(cpu: number): boolean;
  vmread(cpu: number, field: number): number;
  vmwrite(cpu: number, field: number, low: number, high: number): void;
  vmclear(region: number): void;
  vmptrld(cpu: number, region: number): void;
  /**
   * VM entry, with the guest's general registers at an address. Returns whether the guest runs now;
   * the function goes on at the VM exit.
   */
  vmenter(cpu: number, registers: number): boolean;
  /** KVM is at an MSR with interrupts on; or, with 0, it turns them on or is to turn them off. */
  interruptible(cpu: number, msr: number): void;
}
