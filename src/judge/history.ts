/**
 * What a check remembers from one action to the next: the same number of elements for each vCPU,
 * VM, task slot (over all VMs) or pCPU. With the machine's block it is all that the verdict of an
 * action hangs on, so that exploration can put both back.
 */
export interface History {
  readonly per: 'vcpu' | 'vm' | 'task' | 'pcpu';
  readonly words: Int32Array | Uint8Array;
  /** What is in them, where that has names: registers, numbers of branches, or vCPUs. */
  readonly holds?: 'registers' | 'numbers' | 'vcpus';
}
