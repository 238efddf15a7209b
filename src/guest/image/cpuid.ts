/** What CPUID tells a kernel of its CPU model. SDM: Vol. 2, "CPUID". */
import type { CpuModel } from '../../hw/cpu_models.js';

/** Late enough for each model: no LBR is disabled for an early erratum. */
export const STEPPING = 10;

/** What KVM wants of a host's CPU. */
const HOST_FEATURES: readonly string[] = [
  'VMX',
  'MSR_IA32_FEAT_CTL',
  'FPU',
  'FXSR',
  'CONSTANT_TSC',
];

/** Leaf 1: VMX and PDCM in ECX; MSR and APIC in EDX. */
const LEAF_1_ECX: number = (1 << 5) | (1 << 15);
const LEAF_1_EDX: number = (1 << 5) | (1 << 9);
/** Leaf 7, EBX: HLE and RTM. */
const LEAF_7_EBX_TSX: number = (1 << 4) | (1 << 11);
/** From this version of performance monitoring on, ECX of leaf 0AH lists the fixed counters. */
const VERSION_WITH_BITMAP = 5;

/** Leaf 0: the last basic leaf, and "GenuineIntel" in EBX, EDX and ECX, 4 letters each. */
const LEAF_0: readonly number[] = [0x16, 0x756e6547, 0x6c65746e, 0x49656e69];

/** Features that a kernel finds, by their names in the tree. */
export function featureNames({ tsx }: CpuModel, isGuest: boolean, hasKvm: boolean): string[] {
  return [
    'ARCH_PERFMON',
    'PDCM',
    'APIC',
    ...(tsx ? ['RTM', 'HLE'] : []),
    ...(isGuest ? ['HYPERVISOR'] : []),
    ...(hasKvm ? HOST_FEATURES : []),
  ];
}

export function familyAndModel({ models }: CpuModel): readonly [family: number, model: number] {
  const [family, model] = models.split(', ')[0].split('_');
  return [Number.parseInt(family, 16), Number.parseInt(model, 16)];
}

/** EAX, EBX, ECX and EDX; leaf 0AH has four general and three fixed counters of 48 bits. */
export function cpuidOf(model: CpuModel, leaf: number, subleaf: number): readonly number[] {
  if (leaf === 0) return LEAF_0;
  if (leaf === 1) return [signatureOf(model), 0, LEAF_1_ECX, LEAF_1_EDX];
  if (leaf === 7 && subleaf === 0) return [0, model.tsx ? LEAF_7_EBX_TSX : 0, 0, 0];
  return leaf === 0xa ? counters(model) : [0, 0, 0, 0];
}

/** Leaf 0AH. */
function counters({ pmu_version }: CpuModel): readonly number[] {
  const eax = pmu_version | (4 << 8) | (48 << 16) | (7 << 24);
  return [eax, 0, pmu_version >= VERSION_WITH_BITMAP ? 7 : 0, 3 | (48 << 5)];
}

/** Family, model and stepping, as leaf 1 has them. */
function signatureOf(cpu: CpuModel): number {
  const [family, model] = familyAndModel(cpu);
  return (family << 8) | ((model & 0xf) << 4) | ((model & 0xf0) << 12) | STEPPING;
}
