/**
 * The CPUs on which the port and a kernel's lbr.c are compared: every model, and variants that
 * reach further code.
 */
import type { CpuModel } from '../../hw/cpu_models.js';
import {
  CPU_MODELS,
  LBR_FORMAT_32,
  LBR_FORMAT_INFO2,
  LBR_FORMAT_LIP,
  withDepth,
} from '../../hw/cpu_models.js';
import { assert } from '../../hw/assert.js';

export interface Subject {
  /** Name of a model; a variant adds a slash and the difference. */
  readonly name: string;
  readonly model: CpuModel;
  /** LBR_FMT as reported to the C code. On some CPUs the init function of lbr.c corrects it. */
  readonly reported: number;
}

/** lbr.c treats PMU versions below 4 alike, and those from 4 on. */
export const PMU_VERSIONS = [2, 4] as const;
export type PmuVersion = (typeof PMU_VERSIONS)[number];

/** A variant: the model's name, the text after the slash, and the changed fields. */
type Variant = readonly [model: string, what: string, changes: Partial<CpuModel>];

const VARIANTS: readonly Variant[] = [
  ['core2', 'format-32', { lbr_format: LBR_FORMAT_32 }],
  ['core2', 'no-lbr', { lbr_nr: 0 }],
  // On a Bonnell without LBR, the driver assumes one of the steppings whose LBR it disables.
  ['atom', 'no-lbr', { lbr_nr: 0 }],
  ['haswell', 'no-lbr', { lbr_nr: 0 }],
  ['skylake', 'info2', { lbr_format: LBR_FORMAT_INFO2, tsx: false }],
  ['skylake', 'double-abort', { doubleAbort: true }],
];

const DEPTHS: readonly (readonly [string, number])[] = [
  ['core2', 2],
  ['haswell', 2],
  ['haswell-notsx', 4],
  ['skylake', 4],
];

function named(name: string): CpuModel {
  const model = CPU_MODELS.find((candidate) => candidate.name === name);
  assert(model !== undefined, 'a variant is one of a model');
  return model;
}

function subject(model: CpuModel, what = '', reported: number = model.lbr_format): Subject {
  const name = what === '' ? model.name : `${model.name}/${what}`;
  return { name, model, reported };
}

/** Every subject; the variants of a model follow it. */
export const SUBJECTS: readonly Subject[] = CPU_MODELS.flatMap((model) => [
  subject(model),
  ...VARIANTS.filter(([name]) => name === model.name).map(([name, what, changes]) =>
    subject({ ...named(name), ...changes }, what),
  ),
  ...DEPTHS.filter(([name]) => name === model.name).map(([name, depth]) =>
    subject(withDepth(named(name), depth), `depth-${depth}`),
  ),
  // The hardware reports LIP, which intel_pmu_lbr_init_knl() corrects.
  ...(model.lbrInit === 'knl' ? [subject(model, 'reports-lip', LBR_FORMAT_LIP)] : []),
]);

/** The subject of this name, which must exist. */
export function subjectOf(name: string): Subject {
  const found = SUBJECTS.find((candidate) => candidate.name === name);
  assert(found !== undefined, 'a sequence names its subject');
  return found;
}

/** The model as the C code sees it. */
export function toldModel({ model, reported }: Subject): CpuModel {
  return reported === model.lbr_format ? model : { ...model, lbr_format: reported };
}
