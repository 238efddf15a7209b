/** `vlbr replay`: runs a schedule that was kept, and tells what happens in it. */
import { PORT } from '../../guest/perf/lbr_port.js';
import { PolicyError } from '../../host/policy/guarded.js';
import { type Timeline, timeline } from '../../tell/timeline.js';
import { ascii, setTextWidth, WIDTH, wrap } from '../../console/text.js';
import type { Breaker, ReplayCase } from '../../campaign/replay_file.js';
import { type JsonReport, declaredFailure, endsAsExpected } from '../../campaign/replay_file.js';
import { scheduleJson, withDriver } from '../../campaign/replay_file.js';
import { tokenOf } from '../../campaign/replay_file.js';
import { writePictures } from '../../tell/picture/write.js';
import { guestText } from '../../tell/source_text.js';
import type { KernelInfo } from '../../tree/binary.js';
import { UsageError, WorkerBug } from '../../console/errors.js';
import { NoGuestLbr } from '../../machine/no_guest_lbr.js';
import { exitCodeOf } from '../../console/exit_codes.js';
import {
  askedCode,
  type DriverOptions,
  driverWords,
  policyFor,
  runsSchedulesOf,
} from '../../console/kernel_source.js';
import {
  askedPictures,
  checkPictures,
  type PictureOptions,
} from '../../console/picture_options.js';
import type { TestCase } from '../../console/report_forms.js';
import { checkReporters, type ReporterOptions, writeReports } from '../../console/reporters.js';
import { printJson, printLines } from '../../console/output.js';
import { withPolicyFiles } from '../../console/policy_files.js';
import { casesOf } from '../../console/schedules.js';
import { legendLines, MAIL_WIDTH, mailLines } from './text.js';
import { selftest } from './selftest/selftest.js';

export interface ReplayOptions extends DriverOptions, PictureOptions, ReporterOptions {
  /** A file with the policies that the schedules name. */
  readonly policy?: string;
  readonly json?: boolean;
  /** What is written in place of the timeline. */
  readonly emit?: 'selftest';
  readonly full?: boolean;
  readonly legend?: boolean;
  readonly mail?: boolean;
}

/** Returns the exit code. */
export async function replay(from: string, options: ReplayOptions): Promise<number> {
  const { json, emit, full, mail, policy: file, ...asked } = options;
  if (mail === true) setTextWidth(MAIL_WIDTH);
  // C code is the same on every terminal.
  if (emit !== undefined) setTextWidth(WIDTH);
  const words = [...(json === true ? ['--json'] : []), ...(emit === undefined ? [] : ['--emit'])];
  const reported = checkReporters(options, words);
  const quiet = checkPictures(options, [...words, ...reported]) || reported.length > 0;
  if (file !== undefined) await withPolicyFiles(file);
  const found = casesOf(from);
  const policy = found.map(({ config }) => config.policy.name).join(',');
  const code = await askedCode({ ...asked, policy });
  const driver = code?.driver ?? PORT;
  const cases = found.map((one) => {
    return withDriver(one, driver, policyFor(one.config.policy, code));
  });
  const stranger = cases.find(
    ({ config }) => code !== null && !runsSchedulesOf(code, config.kernel),
  );
  if (stranger !== undefined) {
    throw new UsageError(
      `${from}: this is a schedule for the port of Linux ${stranger.config.kernel}; leave ` +
        '--kernel-src out, or give a tree of that version',
    );
  }
  const drawn = askedPictures(options).find(([kind]) => kind !== 'html');
  const picture = drawn === undefined ? null : `--${drawn[0]}`;
  const alone = emit !== undefined ? '--emit' : json === true ? '--json' : picture;
  if (alone !== null && cases.length > 1) {
    throw new UsageError(`${from}: ${alone} takes one schedule, and there are ${cases.length}`);
  }
  const draw = async (): Promise<void> =>
    writePictures(options, async (kind) => {
      const { drawReplay } = await import('./pictures.js');
      return drawReplay(kind, cases, code?.info ?? null, driverWords(options), endText);
    });
  if (emit !== undefined) {
    const exit = emitSelftest(cases[0], code?.info ?? null);
    await draw();
    return exit;
  }
  const ended: Breaker[] = [];
  const done: TestCase[] = [];
  for (const [i, one] of cases.entries()) {
    const told = withToken(one, (run) => timeline(run, full));
    const { breaker } = told;
    if (!endsAsExpected(one, breaker)) ended.push(breaker);
    done.push(testCase(one, breaker));
    if (json === true) printJson(jsonOf(one, told));
    else if (!quiet) {
      const gap = i === 0 ? [] : [''];
      const token = mail === true ? mailLines(one) : [];
      printLines([...gap, ...textLines(one, told, code?.info ?? null), ...token]);
    }
  }
  if (json !== true && !quiet && (options.legend ?? mail) === true) printLines(legendLines());
  // Last: where it fails, the report is there.
  await draw();
  await writeReports(options, () => ({ name: 'vlbr replay', cases: done }));
  return exitCodeFor(ended);
}

/** A replay file again: what is to be kept can be written straight to one. */
function jsonOf(one: ReplayCase, { lines, breaker, text, because }: Timeline): JsonReport {
  const asExpected = endsAsExpected(one, breaker);
  const token = tokenOf(one);
  const end = { token, whose: breaker, asExpected, text, because, timeline: lines };
  return { ...scheduleJson(one), ...end };
}

function textLines(
  one: ReplayCase,
  { lines, breaker }: Timeline,
  info: KernelInfo | null,
): string[] {
  const { config, property } = one;
  const guest = guestText(config.kernel, info);
  const title = `${config.policy.name}, ${property}: ${config.model.name}, ${guest}`;
  return [...wrap(title, '', '  '), ...lines, ...wrap(endText(one, breaker), '', '  ')];
}

/** A schedule as a test case. */
function testCase(one: ReplayCase, breaker: Breaker): TestCase {
  const { config, property } = one;
  const outcome = endsAsExpected(one, breaker) ? 'ok' : 'not ok';
  return { group: config.policy.name, name: property, outcome, says: endText(one, breaker) };
}

/** @param unexpected - who breaks the property in each case that does not end as expected. */
function exitCodeFor(unexpected: readonly Breaker[]): number {
  const lost = unexpected.some((breaker) => breaker !== 'nobody');
  return exitCodeOf({ lost, notShown: unexpected.length > 0 });
}

function emitSelftest(one: ReplayCase, info: KernelInfo | null): number {
  const guest = guestText(one.config.kernel, info);
  const { lines, breaker } = withToken(one, () => selftest(one, guest));
  printLines(lines);
  return exitCodeFor(endsAsExpected(one, breaker) ? [] : [breaker]);
}

/** Runs a case. What goes wrong in vlbr itself is told with the token. */
function withToken<T>(one: ReplayCase, run: (one: ReplayCase) => T): T {
  try {
    return run(one);
  } catch (error) {
    if (error instanceof NoGuestLbr || error instanceof PolicyError) throw error;
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new WorkerBug(stack, [`vlbr replay ${tokenOf(one)}`]);
  }
}

/** Whose failure it was, if any, against what was expected. */
function endText(one: ReplayCase, breaker: Breaker): string {
  const why = declaredFailure(one);
  const known = why === null ? 'not a known failure of this policy' : `known: ${ascii(why)}`;
  const ended = {
    policy: `the policy breaks it (${known})`,
    kernel: "the guest's kernel breaks it by itself, as it would on a pCPU of its own",
    nobody: `it holds on this schedule${why === null ? '' : ` (but elsewhere ${known})`}`,
  }[breaker];
  const expected = endsAsExpected(one, breaker) ? 'as expected' : 'NOT as expected';
  return `${expected}: ${ended}`;
}
