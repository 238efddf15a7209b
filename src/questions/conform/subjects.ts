/**
 * The CPUs on which the port and a kernel's lbr.c are compared: every model, and variants that
 * reach code that no model does.
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
  /** Name of a model, and after a slash what is different. */
  readonly name: string;
  readonly model: CpuModel;
  /** LBR_FMT as the C code is told it, where its init function then knows better. */
  readonly reported: number;
}

/** The PMU versions that lbr.c tells apart. */
export const PMU_VERSIONS = [2, 4] as const;
export type PmuVersion = (typeof PMU_VERSIONS)[number];

/** A variant: the model's name, what is said of it after the slash, and what differs. */
type Variant = readonly [model: string, what: string, changes: Partial<CpuModel>];

const VARIANTS: readonly Variant[] = [
  ['core2', 'format-32', { lbr_format: LBR_FORMAT_32 }],
  ['core2', 'no-lbr', { lbr_nr: 0 }],
  // The driver takes a Bonnell without LBR for one of the steppings whose LBR it disables.
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

/** Every subject, those of one model side by side. */
export const SUBJECTS: readonly Subject[] = CPU_MODELS.flatMap((model) => [
  subject(model),
  ...VARIANTS.filter(([name]) => name === model.name).map(([name, what, changes]) =>
    subject({ ...named(name), ...changes }, what),
  ),
  ...DEPTHS.filter(([name]) => name === model.name).map(([name, depth]) =>
    subject(withDepth(named(name), depth), `depth-${depth}`),
  ),
  // Its hardware reports LIP: intel_pmu_lbr_init_knl() puts that right.
  ...(model.lbrInit === 'knl' ? [subject(model, 'reports-lip', LBR_FORMAT_LIP)] : []),
]);

/** The subject that has a name, which must be one of SUBJECTS. */
export function subjectOf(name: string): Subject {
  const found = SUBJECTS.find((candidate) => candidate.name === name);
  assert(found !== undefined, 'a sequence names its subject');
  return found;
}

/** The model as the C code is told it. */
export function toldModel({ model, reported }: Subject): CpuModel {
  return reported === model.lbr_format ? model : { ...model, lbr_format: reported };
}
