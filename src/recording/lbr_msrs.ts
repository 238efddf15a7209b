/** Which MSRs matter to a policy of LBR. */
import {
  MSR_IA32_DEBUGCTLMSR,
  MSR_LBR_CORE_FROM,
  MSR_LBR_CORE_TO,
  MSR_LBR_INFO_0,
  MSR_LBR_NHM_FROM,
  MSR_LBR_NHM_TO,
  MSR_LBR_SELECT,
  MSR_LBR_TOS,
} from '../hw/msr_index.js';

/** First MSR and number of the blocks that hold the records; the sizes are those of the SDM. */
const BLOCKS: readonly (readonly [first: number, count: number])[] = [
  [MSR_LBR_NHM_FROM, 32],
  [MSR_LBR_NHM_TO, 32],
  [MSR_LBR_INFO_0, 32],
  [MSR_LBR_CORE_FROM, 8],
  [MSR_LBR_CORE_TO, 8],
];

/** DEBUGCTL, LBR_SELECT, TOS, and the records of every model that vlbr knows. */
export function isLbrMsr(msr: number): boolean {
  if (msr === MSR_IA32_DEBUGCTLMSR || msr === MSR_LBR_SELECT || msr === MSR_LBR_TOS) return true;
  return BLOCKS.some(([first, count]) => msr >= first && msr < first + count);
}
