/** Applies patches to lbr.c: unified diffs, as git format-patch and git diff write them. */
import { parsePatch, reversePatch, type StructuredPatch } from 'diff';
import { KernelError } from './errors.js';
import type { PatchFile } from './mail.js';
import { appliedTo } from './series.js';
import { LBR_PATH } from './source.js';

export interface Patched {
  readonly text: string;
  /** The other files that the patches change, each once, in order. */
  readonly notModelled: readonly string[];
}

/** The path of a diff, without the leading `a/` or `b/`. */
function pathOf({ oldFileName = '', newFileName = '' }: StructuredPatch): string {
  const name = newFileName === '/dev/null' ? oldFileName : newFileName;
  return name.replace(/^[ab]\//, '').replace(/\t.*$/, '');
}

/** AMD's driver has a file of the same name. */
const OF_AMD = /(^|\/)amd\/[^/]*$/;

/** A path from the top of a tree, and those in which Intel's driver lies or lay. */
const IN_TREE = /(^|\/)(?:arch|drivers|fs|net|samples|tools)\//;
const OF_INTEL = /(^|\/)arch\/x86\/(?:events\/intel\/lbr|kernel\/cpu\/perf_event_intel_lbr)/;

/** lbr.c, perf_event_intel_lbr.c from before 4.7, and copies such as lbr-new.c. */
function isLbr(path: string): boolean {
  if (!/(?<![a-z])lbr(?![a-z])[^/]*\.c(?!\w)[^/]*$/.test(path) || OF_AMD.test(path)) return false;
  return !IN_TREE.test(path) || OF_INTEL.test(path);
}

/** The signature at the end of each mail. The parser would take it for a removed line. */
const SIGNATURE = /^-- \n.*\n+(?=From [0-9a-f]{40} |$(?![^]))/gm;

function parsed({ name, text }: PatchFile): StructuredPatch[] {
  let patches: StructuredPatch[];
  try {
    patches = parsePatch(text.replaceAll('\r\n', '\n').replace(SIGNATURE, ''));
  } catch (error) {
    throw new KernelError(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const real = patches.filter(({ hunks }) => hunks.length > 0);
  if (real.length === 0) throw new KernelError(`${name}: this is no unified diff`);
  return real;
}

/**
 * Applies patches to a text of lbr.c.
 *
 * @param reverse - takes the patches back, the last one first.
 * @throws KernelError if a file is no diff, a patch does not apply, or no patch changes lbr.c.
 */
export function patchLbr(text: string, files: readonly PatchFile[], reverse: boolean): Patched {
  const notModelled = new Set<string>();
  let now = text;
  let hits = 0;
  for (const file of reverse ? files.toReversed() : files) {
    const patches = parsed(file);
    for (const patch of reverse ? patches.toReversed() : patches) {
      const path = pathOf(patch);
      if (!isLbr(path)) {
        notModelled.add(path);
        continue;
      }
      hits++;
      now = appliedTo(now, reverse ? reversePatch(patch) : patch, 'lbr.c', file.name);
    }
  }
  if (hits === 0) {
    const others = [...notModelled].join(', ');
    throw new KernelError(`nothing here is about ${LBR_PATH}, which is what runs; only: ${others}`);
  }
  return { text: now, notModelled: [...notModelled] };
}
