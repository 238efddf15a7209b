/** The report of `vlbr conform` as text. */
import type { CpuModel } from '../../hw/cpu_models.js';
import type { KernelInfo } from '../../tree/binary.js';
import { type Difference, lossOf } from './campaign.js';
import type { Counted } from './counted.js';
import type { Coverage, Share } from './coverage.js';
import type { Counts, Divergence } from './lockstep.js';
import { callText } from './sequence.js';
import { SUBJECTS, subjectOf } from './subjects.js';
import { accessColumns } from '../../tell/access_text.js';
import { isKnown, type Since, sinceLines } from '../../console/baseline.js';
import type { Colours } from '../../console/colours.js';
import { tableLines } from '../../console/table.js';
import { compact, grouped, plural, wrap } from '../../console/text.js';

export interface Conform extends Counted<Coverage> {
  readonly kernel: KernelInfo;
  readonly seed: number;
  /** Sequences that were asked for. */
  readonly runs: number;
  /** Names of the subjects. */
  readonly cpus: readonly string[];
  /** Counts of the sequences. */
  readonly counts: Readonly<Counts>;
  /** Calls of the set-up with every branch_sample_type. */
  readonly filterCalls: number;
  readonly differences: readonly Difference[];
  readonly interrupted: boolean;
  readonly elapsed_s: number;
  /** What is new since an earlier report; null if none was given. */
  readonly since: Since | null;
}

/** Lines to list for one function. */
const LINES_LISTED = 8;

const INDENT = '   ';

function value(word: number | string): string {
  return typeof word === 'string' ? word : `0x${(word >>> 0).toString(16)}`;
}

function divergenceLines(model: CpuModel, divergence: Divergence): string[] {
  const { access, returned, word, accesses } = divergence;
  const { port, kernel } = returned;
  const lines: string[] = [];
  if (access >= 0) lines.push(`${INDENT}Access ${access + 1} of the call differs:`);
  else lines.push(`${INDENT}The accesses of the call are the same:`);
  const left = { head: 'port', accesses: accesses.port };
  const right = { head: 'lbr.c', accesses: accesses.kernel };
  lines.push(...accessColumns(model, left, right, access));
  if (divergence.in === 'return' || port !== kernel)
    lines.push(`${INDENT}Returned: port ${port}, lbr.c ${kernel}`);
  if (word !== null) {
    lines.push(`${INDENT}First word that differs: ${word.name}`);
    lines.push(`${INDENT}  port ${value(word.port)}, lbr.c ${value(word.kernel)}`);
  }
  return lines;
}

/** A difference: the subject, the calls before it, and what differs. */
function differenceLines(difference: Difference, number: number): string[] {
  const { count, sequence, divergence } = difference;
  const { model } = subjectOf(sequence.cpu);
  const where = `${sequence.cpu}, PMU version ${sequence.pmuVersion}`;
  return [
    ...wrap(`${where}; shown by ${plural(count, 'sequence')}, the shortest:`, `${number}. `, '   '),
    '',
    ...sequence.calls.flatMap((call, i) => {
      const mark = i === divergence.call ? '> ' : '  ';
      return wrap(callText(call), INDENT + mark, `${INDENT}    `);
    }),
    '',
    ...divergenceLines(model, divergence),
    '',
  ];
}

export function shareText({ reached, total }: Share): string {
  return `${reached} of ${total}`;
}

/**
 * That there was no difference: in everything, or in what was looked at before the end came.
 *
 * @param noun - names what is compared.
 */
export function sameLine(done: number, wanted: number, noun: string, colours: Colours): string {
  if (done >= wanted) return colours.green('No difference.');
  if (done === 0) return colours.yellow(`Cut short: none of ${plural(wanted, noun)} was compared.`);
  const text = `Cut short: no difference in ${grouped(done)} of ${plural(wanted, noun)}.`;
  return colours.yellow(text);
}

function lineList(lines: readonly number[]): string {
  const more = lines.length - LINES_LISTED;
  return lines.slice(0, LINES_LISTED).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

function coverageLines(conform: Conform): string[] {
  const { coverage, coverageProblem, cpus } = conform;
  if (coverage === null) {
    return coverageProblem === '' ? [] : wrap(`No coverage: ${coverageProblem}`, '', '  ');
  }
  const { lines, branches, legacyLines, legacyBranches, notReached } = coverage;
  const sequences = plural(coverage.sequences, 'sequence');
  const rows = [
    ['the whole file', shareText(lines), shareText(branches)],
    ['legacy LBR', shareText(legacyLines), shareText(legacyBranches)],
  ];
  const missing = notReached.flatMap((part) =>
    wrap(`${part.function}(): line ${lineList(part.lines)}`, '  ', '    '),
  );
  const all = cpus.length === SUBJECTS.length ? '' : ' on these CPUs';
  return [
    ...wrap(`Reached in lbr.c by ${sequences}, run again on a build that counts:`, '', ''),
    ...tableLines(['', 'lines', 'branches'], rows, { indent: '  ' }),
    ...wrap(
      missing.length === 0
        ? `All ${coverage.legacyFunctions} functions of the legacy path are reached whole.`
        : `Functions of the legacy path that are not reached whole${all}:`,
      '',
      '',
    ),
    ...missing,
  ];
}

export function conformText(conform: Conform, colours: Colours): string[] {
  const { kernel, seed, cpus, counts, filterCalls, differences, interrupted, since } = conform;
  const version = kernel.version === 'unknown' ? 'lbr.c' : `lbr.c of Linux ${kernel.version}`;
  const head = `The port against ${version} (sha256 ${kernel.sha256.slice(0, 12)}), seed ${seed}`;
  const what = [
    plural(counts.sequences, 'sequence'),
    `${compact(counts.calls)} calls`,
    `${compact(counts.msrAccesses)} MSR accesses`,
  ];
  const filters = `${grouped(filterCalls)} event set-ups with every branch_sample_type`;
  const verdict =
    differences.length === 0
      ? sameLine(counts.sequences, conform.runs, 'sequence', colours)
      : colours.red(`${plural(differences.length, 'kind')} of difference.`);
  return [
    ...wrap(head, '', '  '),
    ...wrap(`${plural(cpus.length, 'CPU')}: ${cpus.join(', ')}`, '  ', '  '),
    ...wrap(`${what.join(', ')}; ${filters}`, '  ', '  '),
    ...(interrupted ? ['  interrupted: this is what was known until then'] : []),
    '',
    verdict,
    '',
    ...differences.flatMap((difference, i) =>
      isKnown(since, lossOf(difference)) ? [] : differenceLines(difference, i + 1),
    ),
    ...coverageLines(conform),
    `${conform.elapsed_s.toFixed(1)} s`,
    ...sinceLines(since, colours),
  ];
}
