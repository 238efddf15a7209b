import { MSR_LBR_CORE_FROM, MSR_LBR_CORE_TO } from './msr_index.js';
import { MSR_LBR_INFO_0, MSR_LBR_NHM_FROM, MSR_LBR_NHM_TO } from './msr_index.js';

/**
 * IA32_PERF_CAPABILITIES.LBR_FMT. SDM: Vol. 3B, "LBR Stack and Intel 64 Processors"; names as in
 * arch/x86/events/perf_event.h, Linux 6.1.
 */
export const LBR_FORMAT_32 = 0;
export const LBR_FORMAT_LIP = 1;
export const LBR_FORMAT_EIP = 2;
export const LBR_FORMAT_EIP_FLAGS = 3;
export const LBR_FORMAT_EIP_FLAGS2 = 4;
export const LBR_FORMAT_INFO = 5;
export const LBR_FORMAT_TIME = 6;
export const LBR_FORMAT_INFO2 = 7;

/** The init functions of lbr.c, intel_pmu_lbr_init_*(). */
export const LBR_INITS = ['core', 'atom', 'slm', 'nhm', 'snb', 'hsw', 'skl', 'knl'] as const;
export type LbrInit = (typeof LBR_INITS)[number];

/** Layout of LBR_SELECT. In `nhm`, bits 6 and 7 also suppress calls and returns. */
export type SelectLayout = 'none' | 'nhm' | 'snb';

/** The LBR facility of one CPU model. */
export interface CpuModel {
  readonly name: string;
  readonly uarch: string;
  /** DisplayFamily_DisplayModel numbers, as the SDM writes them. */
  readonly models: string;
  /** Depth of the stack: a power of two. */
  readonly lbr_nr: number;
  readonly lbr_format: number;
  readonly lbr_from: number;
  readonly lbr_to: number;
  /** First LBR_INFO MSR; 0 where there is none. */
  readonly lbr_info: number;
  readonly select: SelectLayout;
  /** The init function that Linux 6.1 picks: core.c:intel_pmu_init(). */
  readonly lbrInit: LbrInit;
  /** LBR_SELECT.EN_CALLSTACK exists. */
  readonly callstack: boolean;
  /** CPUID.0AH:EAX[7:0]; 4 and above freeze through GLOBAL_STATUS.LBR_FRZ. */
  readonly pmu_version: number;
  /** HLE or RTM is there: FROM bits 62:61 of format EIP_FLAGS2 are flags, not sign extension. */
  readonly tsx: boolean;
  /** A transaction that aborts leaves two records: Linux sets lbr_double_abort. */
  readonly doubleAbort: boolean;
  /** A deep C-state may zero FROM, TO, INFO and TOS. */
  readonly cstateWipe: boolean;
  /** Linux lets LBR and Intel PT be used at once: x86_pmu.lbr_pt_coexist. */
  readonly lbr_pt_coexist: boolean;
  /** Call-stack mode pushes a call to the next instruction, which the SDM says it does not. */
  readonly zeroCallPushed: boolean;
  /** Where the facts come from, and how sure they are (docs/FIDELITY.md). */
  readonly cites: string;
}

const NHM = { lbr_from: MSR_LBR_NHM_FROM, lbr_to: MSR_LBR_NHM_TO, lbr_info: 0 };
const CORE = { lbr_from: MSR_LBR_CORE_FROM, lbr_to: MSR_LBR_CORE_TO, lbr_info: 0 };
const OLD = {
  callstack: false,
  tsx: false,
  doubleAbort: false,
  cstateWipe: false,
  lbr_pt_coexist: false,
  zeroCallPushed: false,
};
const LBR_TABLE = 'SDM Vol. 3B, "LBR Stack Size and TOS Pointer Range"';

/** Every CPU model, by the name that --cpu takes. */
export const CPU_MODELS: readonly CpuModel[] = [
  {
    ...CORE,
    ...OLD,
    name: 'core2',
    uarch: 'Core 2 (65 and 45 nm)',
    models: '06_0F, 06_17, 06_1D',
    lbr_nr: 4,
    lbr_format: LBR_FORMAT_LIP,
    select: 'none',
    lbrInit: 'core',
    pmu_version: 2,
    cites: `${LBR_TABLE} [stated]; LBR_FMT is not documented, taken as 1 [assumed]`,
  },
  {
    ...CORE,
    ...OLD,
    name: 'atom',
    uarch: 'Bonnell, Saltwell',
    models: '06_1C, 06_26, 06_27, 06_35, 06_36',
    lbr_nr: 8,
    lbr_format: LBR_FORMAT_LIP,
    select: 'none',
    lbrInit: 'atom',
    pmu_version: 3,
    cites: `${LBR_TABLE} [stated]; LBR_FMT [assumed]`,
  },
  {
    ...CORE,
    ...OLD,
    name: 'silvermont',
    uarch: 'Silvermont, Airmont',
    models: '06_37, 06_4A, 06_4C, 06_4D, 06_5A, 06_5D',
    lbr_nr: 8,
    lbr_format: LBR_FORMAT_LIP,
    select: 'nhm',
    lbrInit: 'slm',
    pmu_version: 3,
    cites: `${LBR_TABLE} [stated]; LBR_FMT [assumed]; SELECT layout from Linux [deduced]`,
  },
  {
    ...NHM,
    ...OLD,
    name: 'nehalem',
    uarch: 'Nehalem, Westmere',
    models: '06_1A, 06_1E, 06_1F, 06_2E, 06_25, 06_2C, 06_2F',
    lbr_nr: 16,
    lbr_format: LBR_FORMAT_EIP_FLAGS,
    select: 'nhm',
    lbrInit: 'nhm',
    pmu_version: 3,
    cites: `${LBR_TABLE} [stated]; format from its layout tables [deduced]`,
  },
  {
    ...NHM,
    ...OLD,
    name: 'sandybridge',
    uarch: 'Sandy Bridge, Ivy Bridge',
    models: '06_2A, 06_2D, 06_3A, 06_3E',
    lbr_nr: 16,
    lbr_format: LBR_FORMAT_EIP_FLAGS,
    select: 'snb',
    lbrInit: 'snb',
    pmu_version: 3,
    cites: `${LBR_TABLE} [stated]; format from its layout tables [deduced]`,
  },
  {
    ...NHM,
    name: 'haswell',
    uarch: 'Haswell, Broadwell, TSX on',
    models: '06_3C, 06_3F, 06_45, 06_46, 06_3D, 06_47, 06_4F, 06_56',
    lbr_nr: 16,
    lbr_format: LBR_FORMAT_EIP_FLAGS2,
    select: 'snb',
    lbrInit: 'hsw',
    callstack: true,
    pmu_version: 3,
    tsx: true,
    doubleAbort: true,
    cstateWipe: true,
    lbr_pt_coexist: false,
    zeroCallPushed: true,
    cites:
      'SDM Vol. 3B, "Last Branch, Call Stack, Interrupt, and Exception Recording for Processors ' +
      'Based on Haswell Microarchitecture" [stated]; zero-length calls by the specification ' +
      'updates HSD080 and HSM083, of clients [stated]; C-state wipe as on Skylake [assumed]',
  },
  {
    ...NHM,
    name: 'haswell-notsx',
    uarch: 'Haswell, Broadwell with TSX absent or disabled',
    models: '06_3C, 06_3F, 06_45, 06_46, 06_3D, 06_47, 06_4F, 06_56',
    lbr_nr: 16,
    lbr_format: LBR_FORMAT_EIP_FLAGS2,
    select: 'snb',
    lbrInit: 'hsw',
    callstack: true,
    pmu_version: 3,
    tsx: false,
    doubleAbort: true,
    cstateWipe: true,
    lbr_pt_coexist: false,
    zeroCallPushed: true,
    cites: 'Specification updates HSD172, HSM182, BDM127 [stated]',
  },
  {
    ...NHM,
    name: 'skylake',
    uarch: 'Skylake to Comet Lake, client and server',
    models: '06_4E, 06_5E, 06_55, 06_8E, 06_9E, 06_A5, 06_A6, 06_66',
    lbr_nr: 32,
    lbr_format: LBR_FORMAT_INFO,
    lbr_info: MSR_LBR_INFO_0,
    select: 'snb',
    lbrInit: 'skl',
    callstack: true,
    pmu_version: 4,
    tsx: true,
    doubleAbort: false,
    cstateWipe: true,
    lbr_pt_coexist: false,
    zeroCallPushed: false,
    cites:
      'SDM Vol. 3B, "Last Branch, Call Stack, Interrupt, and Exception Recording for Processors ' +
      'Based on Skylake Microarchitecture" and "LBR Behavior and Deep C-State" [stated]',
  },
  {
    ...NHM,
    ...OLD,
    name: 'knl',
    uarch: 'Knights Landing, Knights Mill',
    models: '06_57, 06_85',
    lbr_nr: 8,
    lbr_format: LBR_FORMAT_EIP_FLAGS,
    select: 'snb',
    lbrInit: 'knl',
    pmu_version: 3,
    cites: 'Linux 6.1 lbr.c:intel_pmu_lbr_init_knl(): reports LBR_FMT 1, MISPRED valid [deduced]',
  },
  {
    ...NHM,
    name: 'goldmont',
    uarch: 'Goldmont',
    models: '06_5C, 06_5F',
    lbr_nr: 32,
    lbr_format: LBR_FORMAT_TIME,
    select: 'snb',
    lbrInit: 'skl',
    callstack: true,
    pmu_version: 4,
    tsx: false,
    doubleAbort: false,
    cstateWipe: true,
    lbr_pt_coexist: true,
    zeroCallPushed: false,
    cites:
      'SDM Vol. 3B, "Last Branch, Call Stack, Interrupt, and Exception Recording for Processors ' +
      'Based on Goldmont Microarchitecture" [stated]',
  },
  {
    ...NHM,
    name: 'icelake',
    uarch: 'Ice Lake server',
    models: '06_6A, 06_6C',
    lbr_nr: 32,
    lbr_format: LBR_FORMAT_INFO,
    lbr_info: MSR_LBR_INFO_0,
    select: 'snb',
    lbrInit: 'skl',
    callstack: true,
    pmu_version: 5,
    tsx: true,
    doubleAbort: false,
    cstateWipe: true,
    lbr_pt_coexist: true,
    zeroCallPushed: false,
    cites:
      'Linux 6.1 core.c:intel_pmu_init() [deduced]; LBR_FMT, and the rest as on Skylake: the ' +
      'banks are as in Xen, Vol. 3B of the SDM lists no newer table [assumed]',
  },
  {
    ...NHM,
    name: 'tigerlake',
    uarch: 'Ice Lake client, Tiger Lake, Rocket Lake: no TSX',
    models: '06_8C, 06_8D, 06_7D, 06_7E, 06_A7',
    lbr_nr: 32,
    lbr_format: LBR_FORMAT_INFO,
    lbr_info: MSR_LBR_INFO_0,
    select: 'snb',
    lbrInit: 'skl',
    callstack: true,
    pmu_version: 5,
    tsx: false,
    doubleAbort: false,
    cstateWipe: true,
    lbr_pt_coexist: true,
    zeroCallPushed: false,
    cites:
      'Linux 6.1 core.c:intel_pmu_init() [deduced]; no rtm among the CPU flags that Linux lists ' +
      'on Tiger Lake [stated]; the rest as on icelake [assumed]',
  },
  {
    ...NHM,
    name: 'goldmont-plus',
    uarch: 'Goldmont Plus, Tremont',
    models: '06_7A, 06_86, 06_96, 06_9C',
    lbr_nr: 32,
    lbr_format: LBR_FORMAT_INFO2,
    lbr_info: MSR_LBR_INFO_0,
    select: 'snb',
    lbrInit: 'skl',
    callstack: true,
    pmu_version: 4,
    tsx: false,
    doubleAbort: false,
    cstateWipe: true,
    lbr_pt_coexist: true,
    zeroCallPushed: false,
    cites:
      'Linux 6.1 core.c:intel_pmu_init() and commit 1ac7fd8159a8 [deduced]; C-states as on ' +
      'Goldmont; Tremont has PMU version 5, which freezes as 4 does [assumed]',
  },
];

/** Separates a model's name from a depth that no silicon has. */
const DEPTH_MARK = '/';

/** Finds a model by name, `haswell` or, with another depth, `haswell/4`. */
export function findCpuModel(name: string): CpuModel | undefined {
  const [silicon, depth, ...more] = name.split(DEPTH_MARK);
  const model = CPU_MODELS.find((one) => one.name === silicon);
  if (depth === undefined || model === undefined) return model;
  const known = more.length === 0 && DEPTHS.includes(Number(depth));
  return known ? withDepth(model, Number(depth)) : undefined;
}

/** The real CPU model from which a model with another depth was made. */
export function siliconOf({ name }: CpuModel): CpuModel | undefined {
  return CPU_MODELS.find((model) => model.name === name.split(DEPTH_MARK)[0]);
}

const DEPTHS: readonly number[] = [2, 4, 8, 16, 32];

/**
 * The same model with another depth: no silicon has it, so only benchmarks and bounded
 * exploration may use it, and their output says so.
 *
 * @param lbr_nr - a power of two in [2, 32].
 */
export function withDepth(model: CpuModel, lbr_nr: number): CpuModel {
  const silicon = siliconOf(model);
  if (silicon === undefined) return { ...model, lbr_nr };
  if (silicon.lbr_nr === lbr_nr) return silicon;
  return { ...model, name: `${silicon.name}${DEPTH_MARK}${lbr_nr}`, lbr_nr };
}
