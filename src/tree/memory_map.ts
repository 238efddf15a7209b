/**
 * What lies where in the memory of a C driver: static data from the linker's base up, a stack for
 * each CPU, and from BLOCK_ADDRESS on the machine's block.
 */
import { BLOCK_ADDRESS } from '../hw/memory.js';

export const PAGE_BYTES = 0x10000;
/** Static data ends here at the latest, and the stacks begin. */
export const STATICS_END = 0x10000;
export const STACK_BYTES = 0x1000;
/** CPUs that have room for a stack: 6 VMs of 8 vCPUs, and 8 pCPUs. */
export const CPUS_MAX: number = (BLOCK_ADDRESS - STATICS_END) / STACK_BYTES;
