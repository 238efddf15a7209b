/** Files of policies: what they may export, and what is said of those that are not as they must. */
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { policiesOf } from '../../src/console/arguments.js';
import { UsageError } from '../../src/console/errors.js';
import {
  fileOf,
  loadAgain,
  loadPolicies,
  policyFileOf,
  policyWords,
  withPolicyFiles,
} from '../../src/console/policy_files.js';
import { printLines } from '../../src/console/output.js';
import { findPolicy } from '../../src/host/policy/index.js';
import { caseOf } from '../../src/campaign/replay_file.js';
import { policyText, writtenFile } from '../rig/policy_file.js';

let count = 0;

/** A name that no test has used: a thread keeps what it has loaded. */
function freshName(): string {
  return `mine-${`${(count += 1)}`}`;
}

async function sayOf(path: string): Promise<string> {
  const error: unknown = await withPolicyFiles(path).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(UsageError);
  return error instanceof UsageError ? error.message.replaceAll(path, basename(path)) : '';
}

describe('withPolicyFiles', () => {
  it('a list may have files among names, and their policies come after those of vlbr', async () => {
    const name = freshName();
    const path = writtenFile(policyText(`name: '${name}',`));
    expect(fileOf(name)).toBe(null);
    expect(policyWords('always')).toEqual([]);
    const list = await withPolicyFiles(`${path}, always,never`);
    expect(list).toBe(`${name},always,never`);
    expect(policiesOf(list, '6.1')).toEqual(['never', 'always', name]);
    expect(findPolicy(name)?.summary).toBe('of a test');
    expect([fileOf(name), policyWords(name)]).toEqual([path, ['--policy', path]]);
    expect(await withPolicyFiles(path)).toBe(name);
  });

  it('a file may export a list, a `policy`, CommonJS or TypeScript', async () => {
    const names = [freshName(), freshName(), freshName(), freshName(), freshName()];
    const [one, two, third, fourth, fifth] = names;
    const list = policyText('').replace(
      'export default policy',
      `export default [{ ...policy, name: '${one}' }, { ...policy, name: '${two}' }]`,
    );
    expect(await withPolicyFiles(writtenFile(list))).toBe(`${one},${two}`);
    const named = policyText(`name: '${third}',`).replace(
      'export default policy',
      'export { policy }',
    );
    expect(await withPolicyFiles(writtenFile(named))).toBe(third);
    const common = policyText(`name: '${fourth}',`).replace('export default', 'module.exports =');
    expect(await withPolicyFiles(writtenFile(common, 'mine.cjs'))).toBe(fourth);
    const typed = `interface Named { readonly name: string }
      ${policyText(`name: '${fifth}',`).replace('const policy =', 'const policy: Named =')}`;
    const path = writtenFile(
      typed.replace('export default policy', 'export { policy }'),
      'mine.ts',
    );
    expect((await loadPolicies(pathToFileURL(path))).map(({ name }) => name)).toEqual([fifth]);
  });

  it.each<[says: string, text: string]>([
    ["mine.mjs can't be loaded: ReferenceError: nope is not defined (mine.mjs:1:1)", 'nope();'],
    ["mine.mjs can't be loaded: gone (mine.mjs:2:7)", "\nthrow new Error('gone\\nfar');"],
    ['mine.mjs exports no policy: give it `export default`', 'export const x = 1;'],
    ['mine.mjs exports an empty list of policies', 'export default [];'],
    ['mine.mjs: the policy must be an object', 'export default 3;'],
    ['mine.mjs: policy mine has no vcpu_put;', policyText('vcpu_put: undefined,')],
    [
      "mine.mjs has two policies of the name 'twin'",
      policyText("name: 'twin',").replace('default policy', 'default [policy, policy]'),
    ],
  ])('a file is refused: %s', async (says, text) => {
    expect(await sayOf(writtenFile(text))).toContain(says);
  });

  it('a word with a dot or a slash is a file, which has to be there', async () => {
    expect(await sayOf('./nowhere.mjs')).toBe('--policy nowhere.mjs: there is no such file');
    expect(await sayOf('./src/console')).toBe("--policy console: it can't be read (EISDIR)");
  });

  it('a second file of a policy with the same name is refused, with the first', async () => {
    const name = freshName();
    const first = writtenFile(policyText(`name: '${name}',`));
    await withPolicyFiles(first);
    const second = writtenFile(policyText(`name: '${name}',`), 'second.mjs');
    expect(await sayOf(second)).toBe(
      `second.mjs: ${first} has a policy of the name '${name}', too`,
    );
  });

  it('a file that waits for ever is given up', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    const path = writtenFile('await new Promise(() => {});');
    const said = sayOf(path);
    await vi.advanceTimersByTimeAsync(20_000);
    vi.useRealTimers();
    expect(await said).toBe("mine.mjs can't be loaded: it waits for something for ever");
  });
});

describe('loadAgain', () => {
  it('a file is refused that is another one by now', async () => {
    const name = freshName();
    await withPolicyFiles(writtenFile(policyText(`name: '${name}',`)));
    const mine = policyFileOf(name);
    if (mine === null) throw new Error('the file was loaded');
    await loadAgain(mine);
    await expect(loadAgain({ ...mine, sha256: '0' })).rejects.toThrow(
      `${mine.path} has changed since the run began; run it once more`,
    );
    expect(policyFileOf('always')).toBe(null);
  });
});

describe('what a file prints', () => {
  it('what a file prints never goes to standard output, and a report does', async () => {
    const written: [string, string][] = [];
    for (const to of ['stdout', 'stderr'] as const) {
      vi.spyOn(process[to], 'write').mockImplementation(
        (text) => written.push([to, String(text)]) > 0,
      );
    }
    vi.resetModules();
    const files = await import('../../src/console/policy_files.js');
    const output = await import('../../src/console/output.js');
    const name = freshName();
    const says = "process.stdout.write('from the file');";
    await files.withPolicyFiles(writtenFile(policyText(`name: '${name}',`, says)));
    output.printLines(['the report']);
    output.printJson({ schema: 'x/1', seed: 2 });
    vi.restoreAllMocks();
    expect(written).toEqual([
      ['stderr', 'from the file'],
      ['stdout', 'the report\n'],
      ['stdout', expect.stringMatching(/^\{\n {2}"schema": "x\/1",\n {2}"version": "[\d.]+",$/m)],
    ]);
    expect(printLines).not.toBe(output.printLines);
  });
});

describe('caseOf', () => {
  it('a schedule of a policy that is not there asks for its file', () => {
    const shape = { vms: 1, vcpus: 1, tasks: 1, pcpus: 1 };
    const of = { policy: 'nobodys', property: 'no-fault', cpu: 'skylake', kernel: '6.1' };
    expect(() => caseOf({ ...of, shape, actions: [] })).toThrow(
      "there is no policy 'nobodys'; if it is a file's, give the file with --policy; there are: " +
        'never,',
    );
  });
});
