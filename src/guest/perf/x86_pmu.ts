/**
 * Models struct x86_pmu as intel_pmu_init() and intel_pmu_lbr_init*() fill it, Linux 6.1
 * (arch/x86/events/intel/core.c and lbr.c). It never changes after boot, so it is not state.
 */
import * as cpu_models from '../../hw/cpu_models.js';
import * as msrs from '../../hw/msr_index.js';
import { KERNEL_FEATURES, type KernelConfig, type KernelFeatures } from './kernel.js';
import * as perf from './perf_event.js';

const LBR_IGN = 0;
/** LBR_NOT_SUPP: a request that the hardware filter of this model can't express. */
export const LBR_NOT_SUPP = -1;

const LBR_SEL_MASK = 0x3ff;

/** LBR_NO_INFO, bit 63 of a branch_reg config: exists in Linux only. */
export const LBR_NO_INFO_HI: number = 1 << 31;

const LBR_ANY: number =
  msrs.LBR_JCC |
  msrs.LBR_REL_CALL |
  msrs.LBR_IND_CALL |
  msrs.LBR_RETURN |
  msrs.LBR_REL_JMP |
  msrs.LBR_IND_JMP |
  msrs.LBR_FAR;

/** LBR_SELECT bits for each bit of branch_sample_type; null without a hardware filter. */
type SelMap = readonly number[] | null;

/** What differs between the models' maps; the rest of the entries is common to all. */
function selMap(entries: ReadonlyMap<number, number>): number[] {
  const map = Array.from({ length: perf.PERF_SAMPLE_BRANCH_MAX_SHIFT }, () => LBR_IGN);
  const common: [number, number][] = [
    [perf.PERF_SAMPLE_BRANCH_ANY, LBR_ANY],
    [perf.PERF_SAMPLE_BRANCH_USER, msrs.LBR_USER],
    [perf.PERF_SAMPLE_BRANCH_KERNEL, msrs.LBR_KERNEL],
    [perf.PERF_SAMPLE_BRANCH_COND, msrs.LBR_JCC],
    [perf.PERF_SAMPLE_BRANCH_IND_JUMP, msrs.LBR_IND_JMP],
  ];
  for (const [bit, select] of [...common, ...entries]) map[31 - Math.clz32(bit)] = select;
  return map;
}

/** nhm_lbr_sel_map: the jump bits must be asked for too, or calls and returns stay away. */
const nhm_lbr_sel_map: SelMap = selMap(
  new Map([
    [
      perf.PERF_SAMPLE_BRANCH_ANY_RETURN,
      msrs.LBR_RETURN | msrs.LBR_REL_JMP | msrs.LBR_IND_JMP | msrs.LBR_FAR,
    ],
    [
      perf.PERF_SAMPLE_BRANCH_ANY_CALL,
      msrs.LBR_REL_CALL | msrs.LBR_IND_CALL | msrs.LBR_REL_JMP | msrs.LBR_IND_JMP | msrs.LBR_FAR,
    ],
    [perf.PERF_SAMPLE_BRANCH_IND_CALL, msrs.LBR_IND_CALL | msrs.LBR_IND_JMP],
  ]),
);

const SNB: [number, number][] = [
  [perf.PERF_SAMPLE_BRANCH_ANY_RETURN, msrs.LBR_RETURN | msrs.LBR_FAR],
  [perf.PERF_SAMPLE_BRANCH_ANY_CALL, msrs.LBR_REL_CALL | msrs.LBR_IND_CALL | msrs.LBR_FAR],
  [perf.PERF_SAMPLE_BRANCH_IND_CALL, msrs.LBR_IND_CALL],
  [perf.PERF_SAMPLE_BRANCH_CALL, msrs.LBR_REL_CALL],
];

const snb_lbr_sel_map: SelMap = selMap(new Map(SNB));

const hsw_lbr_sel_map: SelMap = selMap(
  new Map([
    ...SNB,
    [
      perf.PERF_SAMPLE_BRANCH_CALL_STACK,
      msrs.LBR_REL_CALL | msrs.LBR_IND_CALL | msrs.LBR_RETURN | msrs.LBR_CALL_STACK,
    ],
  ]),
);

export interface x86_pmu extends KernelFeatures {
  readonly version: number;
  readonly lbr_nr: number;
  readonly lbr_tos: number;
  readonly lbr_from: number;
  readonly lbr_to: number;
  readonly lbr_info: number;
  readonly lbr_sel_mask: number;
  readonly lbr_sel_map: SelMap;
  readonly lbr_has_info: boolean;
  readonly lbr_has_tsx: boolean;
  readonly lbr_from_flags: boolean;
  readonly lbr_to_cycles: boolean;
  readonly lbr_double_abort: boolean;
  /** intel_cap.lbr_format is LBR_FORMAT_32: one MSR a record. */
  readonly isFormat32: boolean;
  /** lbr_from_quirk_key. */
  readonly lbr_from_quirk_key: boolean;
  /** enable_all is intel_pmu_nhm_enable_all(). */
  readonly nhm_workaround: boolean;
}

function selMapOf(model: cpu_models.CpuModel): SelMap {
  if (model.select === 'none') return null;
  if (model.select === 'nhm') return nhm_lbr_sel_map;
  return model.callstack ? hsw_lbr_sel_map : snb_lbr_sel_map;
}

/**
 * Kernel: lbr.c:intel_pmu_lbr_init_core() to _knl(), intel_pmu_lbr_init(). Where the LBR MSRs
 * fault, intel_pmu_init() finds so by check_msr(), and sets lbr_nr to 0.
 */
export function x86PmuOf(config: KernelConfig): x86_pmu {
  const { model } = config;
  const format = model.lbr_format;
  return {
    version: config.pmu_version,
    lbr_nr: config.withoutLbr === true ? 0 : model.lbr_nr,
    lbr_tos: msrs.MSR_LBR_TOS,
    lbr_from: model.lbr_from,
    lbr_to: model.lbr_to,
    lbr_info: model.lbr_info,
    lbr_sel_mask: LBR_SEL_MASK,
    lbr_sel_map: selMapOf(model),
    lbr_has_info: format === cpu_models.LBR_FORMAT_INFO || format === cpu_models.LBR_FORMAT_INFO2,
    lbr_has_tsx:
      format === cpu_models.LBR_FORMAT_INFO || format === cpu_models.LBR_FORMAT_EIP_FLAGS2,
    lbr_from_flags:
      format === cpu_models.LBR_FORMAT_EIP_FLAGS ||
      format === cpu_models.LBR_FORMAT_EIP_FLAGS2 ||
      format === cpu_models.LBR_FORMAT_TIME,
    lbr_to_cycles: format === cpu_models.LBR_FORMAT_TIME,
    lbr_double_abort: model.doubleAbort,
    isFormat32: format === cpu_models.LBR_FORMAT_32,
    lbr_from_quirk_key: format === cpu_models.LBR_FORMAT_EIP_FLAGS2 && !model.tsx,
    nhm_workaround: model.lbrInit === 'nhm',
    ...KERNEL_FEATURES[config.version],
  };
}
