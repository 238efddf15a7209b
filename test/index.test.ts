/** The exports of the library, compared with the comment in its file; the examples of its API. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as fastCheck from '../src/fast_check.js';
import * as library from '../src/index.js';

const SRC = fileURLToPath(new URL('../src', import.meta.url));
const TEXT = readFileSync(join(SRC, 'index.ts'), 'utf8');

/** The comment at the top of src/index.ts lists what is exported, then what is not. */
const [HERE, NOT_HERE] = TEXT.slice(0, TEXT.indexOf('*/'))
  .replaceAll(/\s+\*?\s*/g, ' ')
  .split('Not here:');

describe('the library', () => {
  it.each([
    ['vlbr verify', 'verify'],
    ['vlbr verify', 'runCampaign'],
    ['vlbr verify', 'verifyText'],
    ['vlbr verify', 'verifyJson'],
    ['vlbr replay', 'timeline'],
    ['vlbr review', 'reviewPolicy'],
    ['vlbr review', 'reviewText'],
    ['vlbr review', 'reviewJson'],
    ['vlbr explore', 'explore'],
    ['vlbr explore', 'exploreText'],
    ['vlbr explore', 'exploreJson'],
    ['vlbr explore', 'shorten'],
    ['vlbr conform --driver lbr.c', 'Conformance'],
    ['vlbr conform --driver lbr.c', 'conformText'],
    ['vlbr conform --driver lbr.c', 'conformJson'],
    ['vlbr kernel build', 'buildKernel'],
    ['vlbr list', 'POLICIES'],
    ['vlbr list', 'PARKED'],
    ['vlbr list', 'loadPolicies'],
  ])('the library has the work of %s, as its comment says: %s', (command, name) => {
    expect(HERE).toContain(`\`${command}\``);
    expect(library).toHaveProperty(name);
  });

  it.each([
    ['vlbr conform', 'WholeComparison'],
    ['vlbr corpus', 'hunt'],
    ['vlbr cost', 'Ledger'],
  ])('the library lacks %s, as its comment says', (what, name) => {
    expect(NOT_HERE).toContain(what);
    expect(library).not.toHaveProperty(name);
  });

  it('the library never claims to do everything that the command line does', () => {
    expect(TEXT).not.toMatch(/everything that the\s+\*? ?command line does/);
  });
});

/** The examples in the comments of src/, by their files: code, with `EXPRESSION; // VALUE`. */
const EXAMPLES = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .flatMap((path) =>
    [
      ...readFileSync(join(SRC, path), 'utf8').matchAll(/@example\n((?: *\*(?: .*)?\n)+?) *\*\//g),
    ].map(([, lines]) => ({ path, code: lines.replaceAll(/^ *\* ?/gm, '') })),
  );

const MODULES: Readonly<Record<string, object>> = {
  vlbr: library,
  'vlbr/fast-check': fastCheck,
  'fast-check': { default: fc },
};

/** Runs an example, and compares each value that it promises. Returns how many there were. */
function runExample(code: string): number {
  let compared = 0;
  const same = (found: unknown, wanted: unknown): void => {
    expect(found).toEqual(wanted);
    compared++;
  };
  const body = code
    .replaceAll(/^import (\w+) from '(.+)';$/gm, "const { default: $1 } = modules['$2'];")
    .replaceAll(/^import (\{.+\}) from '(.+)';$/gm, "const $1 = modules['$2'];")
    .replaceAll(/^(.+); \/\/ (.+)$/gm, 'same($1, $2);');
  // oxlint-disable-next-line no-implied-eval
  new Function('modules', 'same', body)(MODULES, same);
  return compared;
}

describe('the examples of the API', () => {
  it('there are examples of judging, reports, policies, schedules and shapes', () => {
    expect(EXAMPLES.map(({ path }) => path).sort()).toEqual([
      'campaign/campaign.ts',
      'console/policy_form.ts',
      'fast_check.ts',
      'schedule/action_text.ts',
      'schedule/token.ts',
      'tell/timeline.ts',
      'tell/verdicts/campaign_of.ts',
    ]);
  });
  it.each(EXAMPLES)('the example in $path gives what it says', ({ code }) => {
    expect(runExample(code)).toBeGreaterThan(0);
  });
});
