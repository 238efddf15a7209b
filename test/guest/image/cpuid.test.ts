/** What CPUID says to a kernel of each CPU model. SDM: Vol. 2A, "CPUID". */
import { describe, expect, it } from 'vitest';
import { CPU_MODELS } from '../../../src/hw/cpu_models.js';
import { cpuidOf, familyAndModel, featureNames } from '../../../src/guest/image/cpuid.js';
import { cpuModel } from '../../rig/cpu.js';

/** HLE is bit 4 of EBX, RTM bit 11. */
const HLE_RTM = 0x810;

describe('cpuidOf', () => {
  it.each(CPU_MODELS)('leaf 1 of $name has family, model and stepping 10', (model) => {
    const [eax, , ecx, edx] = cpuidOf(model, 1, 0);
    const family = (eax >> 8) & 0xf;
    const number = ((eax >> 12) & 0xf0) | ((eax >> 4) & 0xf);
    expect([family, number]).toEqual(familyAndModel(model));
    expect([eax & 0xf, ecx, edx]).toEqual([10, 0x8020, 0x220]);
  });

  it('the new models are those that the kernel knows by these numbers', () => {
    const numbers = ['icelake', 'tigerlake', 'goldmont-plus'].map((name) =>
      familyAndModel(cpuModel(name)),
    );
    expect(numbers).toEqual([
      [6, 0x6a],
      [6, 0x8c],
      [6, 0x7a],
    ]);
  });

  it.each(CPU_MODELS)('leaf 7 of $name has TSX where its features have', (model) => {
    expect(cpuidOf(model, 7, 0)).toEqual([0, model.tsx ? HLE_RTM : 0, 0, 0]);
    expect(cpuidOf(model, 7, 1)).toEqual([0, 0, 0, 0]);
    expect(featureNames(model, false, false).includes('RTM')).toBe(model.tsx);
  });

  // From version 5 on a kernel counts the bits of ECX, and not the number in EDX.
  it.each(CPU_MODELS)('leaf 0AH of $name has four general and three fixed counters', (model) => {
    const [eax, , ecx, edx] = cpuidOf(model, 0xa, 0);
    expect([eax & 0xff, (eax >> 8) & 0xff]).toEqual([model.pmu_version, 4]);
    expect([ecx, edx & 0x1f]).toEqual([model.pmu_version >= 5 ? 0b111 : 0, 3]);
  });
});
