/**
 * For one CPU model: the register that each MSR index selects, and the values that it accepts. The
 * tables are computed once per model, because every access reads them.
 */
import type { CpuModel } from './cpu_models.js';
import {
  LBR_FORMAT_32,
  LBR_FORMAT_EIP_FLAGS,
  LBR_FORMAT_EIP_FLAGS2,
  LBR_FORMAT_TIME,
} from './cpu_models.js';
import { MSR_LBR_SELECT, MSR_LBR_TOS } from './msr_index.js';

/** Kinds of MSR index; KIND_NONE is not an LBR MSR. */
export const KIND_NONE = 0;
export const KIND_FROM = 1;
export const KIND_TO = 2;
export const KIND_INFO = 3;
export const KIND_TOS = 4;
export const KIND_SELECT = 5;

/** All legacy LBR MSRs lie below this index. */
const INDEX_MAX = 0x1000;

/** Words of one record: FROM, TO and, where the model has it, INFO, each low word first. */
export function recordWords(model: CpuModel): number {
  return model.lbr_info !== 0 ? 6 : 4;
}

/** Bits of LBR_SELECT that a WRMSR may set; the rest must be zero. */
export function selectValid(model: CpuModel): number {
  return model.callstack ? 0x3ff : 0x1ff;
}

/** Bits 16 to `high` of edx. They must repeat bit 15, which is bit 47 of the register. */
function signMask(high: number): number {
  return (0xffffffff >>> (31 - high)) & 0xffff0000;
}

/**
 * Sign-extension bits of FROM. SDM: Vol. 3B, "LBR Stack and Intel 64 Processors"; with format
 * EIP_FLAGS2 and TSX off, bits 62:61 count as sign extension (HSD172, HSM182, BDM127).
 */
function fromSignMask(model: CpuModel): number {
  switch (model.lbr_format) {
    case LBR_FORMAT_32:
      return 0;
    case LBR_FORMAT_EIP_FLAGS:
    case LBR_FORMAT_TIME:
      return signMask(30);
    case LBR_FORMAT_EIP_FLAGS2:
      return signMask(model.tsx ? 28 : 30);
    default:
      return signMask(31);
  }
}

/** Sign-extension bits of TO; format TIME keeps cycles in bits 63:48. */
function toSignMask(model: CpuModel): number {
  const { lbr_format } = model;
  return lbr_format === LBR_FORMAT_32 || lbr_format === LBR_FORMAT_TIME ? 0 : signMask(31);
}

function notExtended(edx: number, mask: number): boolean {
  return (edx & mask) !== ((edx & 0x8000) !== 0 ? mask : 0);
}

/** The LBR MSRs of one CPU model: `lbrMap` makes one for a model and keeps it. */
export class LbrMap {
  /** KIND_* of each index. */
  private readonly kinds: Uint8Array = new Uint8Array(INDEX_MAX);
  /** Word offset of a record's register from the first record. */
  private readonly offsets: Uint16Array = new Uint16Array(INDEX_MAX);
  /** Number of an index among the LBR MSRs, for the MSR bitmap. */
  private readonly bits: Uint8Array = new Uint8Array(INDEX_MAX);
  readonly count: number;
  private readonly fromMask: number;
  private readonly toMask: number;
  private readonly selectMask: number;

  constructor(model: CpuModel) {
    const { lbr_from, lbr_to, lbr_info, lbr_nr } = model;
    const stride = recordWords(model);
    let bit = 0;
    const add = (msr: number, kind: number, offset: number): void => {
      this.kinds[msr] = kind;
      this.offsets[msr] = offset;
      this.bits[msr] = bit++;
    };
    for (let i = 0; i < lbr_nr; i++) {
      add(lbr_from + i, KIND_FROM, i * stride);
      add(lbr_to + i, KIND_TO, i * stride + 2);
      if (lbr_info !== 0) add(lbr_info + i, KIND_INFO, i * stride + 4);
    }
    add(MSR_LBR_TOS, KIND_TOS, 0);
    if (model.select !== 'none') add(MSR_LBR_SELECT, KIND_SELECT, 0);
    this.count = bit;
    this.fromMask = fromSignMask(model);
    this.toMask = toSignMask(model);
    this.selectMask = selectValid(model);
  }

  kind(msr: number): number {
    return this.kinds[msr] ?? KIND_NONE;
  }

  /** For an index whose kind is FROM, TO or INFO. */
  offset(msr: number): number {
    return this.offsets[msr];
  }

  /** For an index of any kind but NONE; in [0, count). */
  bit(msr: number): number {
    return this.bits[msr];
  }

  fromFaults(edx: number): boolean {
    return notExtended(edx, this.fromMask);
  }

  toFaults(edx: number): boolean {
    return notExtended(edx, this.toMask);
  }

  /**
   * Whether WRMSR of this value raises #GP. The registers, and every copy of them that a
   * hypervisor keeps in memory, obey the same rule.
   */
  faults(msr: number, eax: number, edx: number): boolean {
    switch (this.kind(msr)) {
      case KIND_FROM:
        return this.fromFaults(edx);
      case KIND_TO:
        return this.toFaults(edx);
      case KIND_INFO:
      case KIND_TOS:
        return false;
      case KIND_SELECT:
        return edx !== 0 || (eax & ~this.selectMask) !== 0;
      default:
        return true;
    }
  }
}

const MAPS: WeakMap<CpuModel, LbrMap> = new WeakMap();

export function lbrMap(model: CpuModel): LbrMap {
  let map = MAPS.get(model);
  if (map === undefined) {
    map = new LbrMap(model);
    MAPS.set(model, map);
  }
  return map;
}
