/** The report of `vlbr campaign bisect` as text. */
import type { Colours } from '../../console/colours.js';
import { policyWords } from '../../console/policy_files.js';
import { plural, wrap } from '../../console/text.js';
import { printable } from '../../recording/trace_error.js';
import { becauseLines } from '../../tell/because.js';
import type { Commit } from '../../tree/git.js';
import type { Bisection, Judged } from './bisect.js';

/** Digits of a hash that name a commit of any kernel. */
const DIGITS = 12;

/** A commit in a line, as kernel developers write it. */
export function nameOf({ hash, subject }: Pick<Commit, 'hash' | 'subject'>): string {
  return `${hash.slice(0, DIGITS)} ("${printable(subject)}")`;
}

/** How a schedule ends on a commit. */
export function judgedLine({ commit, ending }: Judged): string {
  const why = ending.kind === 'skipped' ? `: ${printable(ending.why)}` : '';
  return `${ending.kind.padEnd('skipped'.length)}  ${nameOf(commit)}${why}`;
}

/** The command that shows the failure again; null if there is none. */
export function replayCommand(result: Bisection): string | null {
  const { range, subject, failing } = result;
  if (subject === null || failing === null) return null;
  const where = ['--kernel-src', `${range.repository}@${failing.hash.slice(0, DIGITS)}`];
  const words = policyWords(subject.replay.config.policy.name);
  return ['vlbr replay', failing.ending.token, ...where, ...words].join(' ');
}

export function bisectText(result: Bisection, colours: Colours): string[] {
  const because = result.failing?.ending.because ?? null;
  const command = replayCommand(result);
  return [
    ...headLines(result, colours),
    '',
    ...answerLines(result, colours),
    ...(because === null ? [] : becauseLines(because, '  ')),
    ...(command === null ? [] : [`  ${command}`]),
  ];
}

function headLines(result: Bisection, colours: Colours): string[] {
  const { range, subject, commits, changing, judged } = result;
  const { good, bad, repository } = range;
  const skipped = judged.filter(({ ending }) => ending.kind === 'skipped');
  const title = `vlbr campaign bisect: ${printable(repository)}`;
  const counts = [
    plural(commits, 'commit'),
    ...(changing === null ? [] : [`${changing} of them change what the kernel is made of`]),
    `${judged.length} judged`,
  ];
  return [
    ...wrap(title, '', '  ').map(colours.bold),
    ...wrap(`good: ${nameOf(good)}`, '', '  '),
    ...wrap(`bad: ${nameOf(bad)}`, '', '  '),
    ...(subject === null ? [] : subjectLines(subject)),
    ...wrap(counts.join(', '), '', '  '),
    ...skipped.flatMap((one) => wrap(judgedLine(one), '', '  ')),
  ];
}

function subjectLines({
  replay,
  by,
  campaign,
  others,
}: NonNullable<Bisection['subject']>): string[] {
  const { config, property, schedule } = replay;
  const who = by === 'kernel' ? "the guest's kernel breaks it" : 'the policy breaks it';
  const found =
    campaign === null ? '' : `, found by ${plural(campaign.runs, 'run')} of seed ${campaign.seed}`;
  const what =
    `lost: ${property} under ${config.policy.name} on ${config.model.name} (${who}), on a ` +
    `schedule of ${plural(schedule.length, 'action')}${found}`;
  const more = others.length === 0 ? [] : wrap(`also lost: ${others.join(', ')}`, '', '  ');
  return [...wrap(what, '', '  '), ...more];
}

function answerLines(result: Bisection, colours: Colours): string[] {
  const { left, suspects, interrupted, subject } = result;
  const lost = subject === null ? 'loses anything' : `loses ${subject.replay.property}`;
  if (!interrupted && left === 1) {
    const [{ hash, subject: title, author, date }] = suspects;
    return [
      colours.bold(`The first commit that ${lost}:`),
      `  ${hash}`,
      ...wrap(printable(title), '  ', '    '),
      `  ${printable(author)}, ${date.slice(0, 10)}`,
    ];
  }
  const why = interrupted ? 'cut short' : "some of them can't be judged";
  const head = `The first commit that ${lost} is one of ${plural(left, 'commit')} (${why})`;
  return [
    ...wrap(head, '', '  ').map(colours.bold),
    ...suspects.flatMap((commit) =>
      wrap(`${commit.date.slice(0, 10)} ${nameOf(commit)}`, '  ', '    '),
    ),
  ];
}
