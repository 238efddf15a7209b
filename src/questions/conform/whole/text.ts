/** The report of `vlbr conform` on the whole path, as text. */
import { caseOf, withDriver } from '../../../campaign/replay_file.js';
import { isKnown, type Since, sinceLines } from '../../../console/baseline.js';
import type { Colours } from '../../../console/colours.js';
import { tableLines } from '../../../console/table.js';
import { ascii, grouped, plural, wrap } from '../../../console/text.js';
import type { DriverKind } from '../../../guest/perf/lbr_driver.js';
import { kvm } from '../../../host/policy/kvm.js';
import { merged } from '../../../host/policy/merged.js';
import { PORT } from '../../../guest/perf/lbr_port.js';
import { encodeToken } from '../../../schedule/token.js';
import { accessColumns } from '../../../tell/access_text.js';
import { actionLines } from '../../../tell/timeline.js';
import type { KernelInfo } from '../../../tree/binary.js';
import { type CpuResult, type Difference, lossesOf } from './comparison.js';
import { sameLine, shareText } from '../text.js';
import type { Counted } from '../counted.js';
import type { WholeCoverage } from './coverage.js';
import type { Counts } from './pair.js';

export interface Whole extends Counted<WholeCoverage> {
  readonly kernel: KernelInfo;
  readonly driver: DriverKind;
  /** The options that make another command run the same kernel. */
  readonly driverWords: readonly string[];
  readonly policy: string;
  readonly seed: number;
  /** Schedules that were asked for. */
  readonly runs: number;
  readonly counts: Readonly<Counts>;
  /** The CPU models that were asked for. */
  readonly models: readonly string[];
  /** Of those that were begun. */
  readonly results: readonly CpuResult[];
  /** CPUs on which the tree's KVM gives its guests no LBR. */
  readonly withoutLbr: readonly string[];
  readonly interrupted: boolean;
  readonly elapsed_s: number;
  /** What is new since an earlier report; null if none was given. */
  readonly since: Since | null;
}

const INDENT = '   ';

/** What the tree is compared with. */
function portName(policy: string): string {
  return policy === kvm.name ? merged.name : 'port';
}

function nameOf({ version }: KernelInfo): string {
  return version === 'unknown' ? 'the tree' : `Linux ${version}`;
}

export function wholeText(whole: Whole, colours: Colours): string[] {
  const { kernel, policy, seed, counts, results, withoutLbr, interrupted } = whole;
  const parted = results.reduce((sum, result) => sum + result.parted, 0);
  const what = [
    plural(counts.schedules, 'schedule'),
    plural(counts.actions, 'action'),
    plural(counts.accesses, 'MSR access'),
    `${grouped(counts.eventStates)} states of events`,
    plural(counts.samples, 'sample'),
  ];
  const differ = results.filter(({ first }) => first !== null);
  const [many, parts] = [plural(parted, 'schedule'), parted === 1 ? 'parts' : 'part'];
  const where = `on ${differ.length} of ${plural(results.length, 'CPU')}`;
  const verdict =
    differ.length === 0
      ? sameLine(counts.schedules, whole.runs, 'schedule', colours)
      : colours.red(`${many} of ${grouped(counts.schedules)} ${parts}, ${where}.`);
  return [
    ...wrap(
      policy === kvm.name
        ? `The model of KVM (merged) against KVM of ${nameOf(kernel)}, on that tree's perf ` +
            `(sha256 ${kernel.sha256.slice(0, 12)})`
        : `The port against perf core and x86 driver of ${nameOf(kernel)} ` +
            `(sha256 ${kernel.sha256.slice(0, 12)})`,
      '',
      '  ',
    ),
    policy === kvm.name ? `  seed ${seed}` : `  seed ${seed}, under ${policy}`,
    ...wrap(
      `${plural(results.length, 'CPU')}: ${results.map(({ cpu }) => cpu).join(', ')}`,
      '  ',
      '  ',
    ),
    ...wrap(what.join(', '), '  ', '  '),
    ...(withoutLbr.length === 0
      ? []
      : wrap(`left out, for this KVM gives no LBR there: ${withoutLbr.join(', ')}`, '  ', '  ')),
    ...(interrupted ? ['  interrupted: this is what was known until then'] : []),
    '',
    verdict,
    '',
    ...differ.flatMap((result, i) =>
      lossesOf(result).every((loss) => isKnown(whole.since, loss))
        ? []
        : resultLines(whole, result, i + 1, colours),
    ),
    ...coverageLines(whole),
    `${whole.elapsed_s.toFixed(1)} s`,
    ...sinceLines(whole.since, colours),
  ];
}

function coverageLines({ coverage, coverageProblem, results }: Whole): string[] {
  if (coverage === null) {
    return coverageProblem === '' ? [] : [...wrap(`No coverage: ${coverageProblem}`, '', '  '), ''];
  }
  const rows = coverage.files.map(({ path, functions, lines, branches }) => [
    path,
    ...[functions, lines, branches].map(shareText),
  ]);
  const where = results.length === 1 ? `on ${results[0].cpu}` : `on ${results.length} CPUs`;
  const head =
    `Reached of the code that is compiled, by ${plural(coverage.schedules, 'schedule')} ` +
    `${where}, run again on an image that counts:`;
  return [
    ...wrap(head, '', ''),
    ...tableLines(['', 'functions', 'lines', 'branches'], rows, { indent: '  ' }),
    ...wrap('With --json: the lines that were not reached, function by function.', '', '  '),
    '',
  ];
}

function resultLines(whole: Whole, result: CpuResult, n: number, colours: Colours): string[] {
  const { cpu, schedules, parted, first } = result;
  if (first === null) return [];
  const many = `${grouped(parted)} of ${plural(schedules, 'schedule')}`;
  const head = `${cpu}: ${many} ${parted === 1 ? 'parts' : 'part'}; the first, shortened:`;
  return [...wrap(head, `${n}. `, INDENT).map(colours.bold), ...differenceLines(whole, first), ''];
}

function differenceLines(whole: Whole, { replay, divergence }: Difference): string[] {
  const { action, where, what, value, access, accesses } = divergence;
  const name = nameOf(whole.kernel);
  const token = encodeToken(replay);
  const played = caseOf(replay);
  const when = action < 0 ? 'At boot' : `In action #${action + 1}`;
  const inside = where === '' ? '' : `, in ${where}`;
  return [
    // The port performs them: the tree may crash.
    ...actionLines(withDriver(played, whole.policy === kvm.name ? whole.driver : PORT)),
    '',
    ...wrap(`${when}${inside}, this differs: ${what}`, INDENT, INDENT),
    ...wrap(ascii(value.port), `${INDENT}  ${portName(whole.policy)}: `, `${INDENT}    `),
    ...wrap(ascii(value.kernel), `${INDENT}  ${name}: `, `${INDENT}    `),
    ...accessColumns(
      played.config.model,
      { head: portName(whole.policy), accesses: accesses.port },
      { head: name, accesses: accesses.kernel },
      access,
    ),
    ...[`vlbr replay ${token}`, `vlbr replay ${token} ${whole.driverWords.join(' ')}`].map(
      (command) => `${INDENT}${command}`,
    ),
  ];
}
