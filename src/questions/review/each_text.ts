/** The part of a review's report that tells of each patch. */
import { wrap } from '../../console/text.js';
import { encodeToken } from '../../schedule/token.js';
import { type Finding, findingsOf, isMain } from './comparison.js';
import { type Blame, type Each, lostOnTheWay, type Step, stepText } from './each.js';
import { conclusionOf } from './conclusion.js';

export function eachLines(each: Each): string[] {
  const { patches, steps, blamed, interrupted } = each;
  const left = patches - (steps.at(-1)?.last ?? 0);
  return [
    'Patch by patch:',
    ...steps.flatMap((step) => stepLines(step, patches)),
    ...(interrupted ? [`  interrupted: ${left} of ${patches} patches were not looked at`] : []),
    '',
    ...[
      ...blamed.map((blame) => blameText(blame, patches)),
      ...lostOnTheWay(each).map(({ finding, step }) => {
        return `lost on the way, by patch ${stepText(step)} of ${patches}: ${finding.property}`;
      }),
    ].flatMap((text) => wrap(text, '', '  ')),
  ];
}

function stepLines(step: Step, patches: number): string[] {
  const { title, found, why } = step;
  const head = wrap(`${stepText(step)} of ${patches}  ${title}`, '  ', '    ');
  if (found === null) return [...head, ...wrap(why ?? '', '    ', '    ')];
  const lost = findingsOf(found.reviews).filter((f) => f.kind === 'lost' && isMain(f));
  return [
    ...head,
    ...wrap(conclusionOf(found).text, '    ', '    '),
    ...lost.map((finding) => replayLine(finding, found.after.path)),
  ];
}

function replayLine({ counterexample }: Finding, path: string): string {
  return `    vlbr replay ${encodeToken(counterexample)} --kernel-src ${path}`;
}

function blameText({ finding: { kind, property }, step }: Blame, patches: number): string {
  if (step === null) return `${kind} by the series, and by no single patch: ${property}`;
  return `${kind} by patch ${stepText(step)} of ${patches}: ${property}`;
}
