/** Reads test/corpus/corpus.json: the real defects, and where each can be seen. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KERNEL_VERSIONS, type KernelVersion } from '../../guest/perf/kernel.js';
import { POLICIES } from '../../host/policy/index.js';
import { PROPERTY_NAMES, type PropertyName } from '../../judge/properties.js';
import { CPU_MODELS } from '../../hw/cpu_models.js';
import { type Shape, shapeProblem } from '../../machine/config.js';

/** The corpus or its clone is not as required. The message says what to do. */
export class CorpusError extends Error {
  override readonly name: string = 'CorpusError';
}

/** Where a defect is looked for. */
export interface Place {
  readonly policy: string;
  readonly cpu: string;
  readonly kernel: KernelVersion;
  /** The machine, if the defect needs a certain one. */
  readonly shape?: Shape;
}

/** A way to look for a defect. */
export interface Suspect extends Place {
  /** Name of the patch without `.patch`: the defect's id, perhaps with a suffix. */
  readonly name: string;
  /** Properties that stand for the one in the defect's report. One of them must break. */
  readonly properties: readonly PropertyName[];
  /** For a defect that is present: a CPU on which it does no harm. */
  readonly contrast?: string;
}

/**
 * `mutant`: a patch puts the defect back. `present`: Linux 6.1 or the policy has it, so the
 * unmodified model must show it. `outside`: the model does not reach that far.
 */
export type DefectKind = 'mutant' | 'present' | 'outside';

/** One real defect, which somebody has fixed. */
export interface Defect {
  readonly id: string;
  readonly subject: string;
  readonly commit: string;
  readonly component: string;
  readonly property_class: string;
  readonly kind: DefectKind;
  /** Empty for a defect outside the model. */
  readonly suspects: readonly Suspect[];
  /** Why the defect is outside; else a note on the properties that stand for it, where needed. */
  readonly reason: string;
  /** Rows of docs/FIDELITY.md. */
  readonly fidelity: readonly string[];
}

/** The folder of the corpus in a clone. */
export function corpusFolder(root: string): string {
  return join(root, 'test', 'corpus');
}

/** Text of a patch of the corpus; null if there is none. */
export function patchText(root: string, name: string): string | null {
  const path = join(corpusFolder(root), `${name}.patch`);
  return existsSync(path) ? readFileSync(path, 'utf8') : null;
}

/** Every defect, in the order of the file. @throws CorpusError if it is missing or wrong. */
export function readCorpus(root: string): Defect[] {
  const path = join(corpusFolder(root), 'corpus.json');
  if (!existsSync(path)) {
    throw new CorpusError(
      `there is no test/corpus in ${root}: vlbr corpus needs a clone of its repository, with ` +
        'npm ci done in it',
    );
  }
  return parseCorpus(readFileSync(path, 'utf8'));
}

/** @throws CorpusError if the text is not a valid corpus. */
export function parseCorpus(text: string): Defect[] {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch (error) {
    throw new CorpusError(`corpus.json: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!Array.isArray(read)) throw new CorpusError('corpus.json: it must be a list of defects');
  const defects = (read as Defect[]).map(checked);
  const ids = defects.map(({ id }) => id);
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice !== undefined) throw new CorpusError(`corpus.json: ${twice} is there twice`);
  return defects;
}

function checked(defect: Defect): Defect {
  const { id, kind, suspects, reason } = defect;
  const wrong = (what: string): never => {
    throw new CorpusError(`corpus.json: ${String(id)}: ${what}`);
  };
  for (const key of ['id', 'subject', 'commit', 'component', 'property_class', 'reason'] as const) {
    if (typeof defect[key] !== 'string') wrong(`${key} must be text`);
  }
  if (!['mutant', 'present', 'outside'].includes(kind)) wrong(`there is no kind '${kind}'`);
  if (!Array.isArray(defect.fidelity)) wrong('fidelity must be a list of rows');
  if (!Array.isArray(suspects)) wrong('suspects must be a list');
  if (kind === 'outside') {
    if (suspects.length > 0 || reason === '') wrong('outside needs a reason, and has no suspects');
  } else if (suspects.length === 0) wrong('there is nothing to look for');
  for (const suspect of suspects) {
    const problem = suspectProblem(suspect, id, kind);
    if (problem !== null) wrong(problem);
  }
  return defect;
}

function suspectProblem(suspect: Suspect, id: string, kind: DefectKind): string | null {
  const { name, properties, policy, cpu, kernel, shape, contrast } = suspect;
  if (name !== id && !name.startsWith(`${id}.`)) return `its patch can't be named '${name}'`;
  if (properties.length === 0) return 'it names no property';
  const stranger = properties.find((p) => !PROPERTY_NAMES.includes(p));
  if (stranger !== undefined) return `there is no property '${stranger}'`;
  if (!POLICIES.some((p) => p.name === policy)) return `there is no policy '${policy}'`;
  for (const model of contrast === undefined ? [cpu] : [cpu, contrast]) {
    if (!CPU_MODELS.some((m) => m.name === model)) return `there is no CPU '${model}'`;
  }
  if (!KERNEL_VERSIONS.includes(kernel)) return `there is no kernel '${kernel}'`;
  const problem = shape === undefined ? null : shapeProblem(shape);
  if (problem !== null) return problem;
  if ((kind === 'present') !== (contrast !== undefined)) return 'contrast is for what is present';
  return null;
}
