/** `vlbr new policy`: what it writes, and what it refuses. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { UsageError } from '../../../src/console/errors.js';
import { newCommand } from '../../../src/questions/new_policy/command.js';

function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'vlbr-new-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What the command prints. */
async function made(...args: readonly string[]): Promise<string> {
  let stdout = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  onTestFinished(() => void vi.restoreAllMocks());
  await newCommand().parseAsync(['policy', ...args], { from: 'user' });
  return stdout;
}

describe('vlbr new policy', () => {
  it('a policy and its test have the name that was given, and no other', async () => {
    const dir = join(emptyFolder(), 'policies', 'mine');
    const [policy, test] = ['a-b.mjs', 'a-b.test.mjs'].map((name) => join(dir, name));
    expect(await made('a-b', '--dir', dir)).toBe(
      `wrote ${policy} and ${test}\nnext: vlbr verify --policy ${policy}\n`,
    );
    const texts = [policy, test].map((path) => readFileSync(path, 'utf8'));
    expect(texts[0]).toContain("name: 'a-b',");
    expect(texts[1]).toContain("new URL('./a-b.mjs', import.meta.url)");
    expect(texts.join('')).not.toContain('my-policy');
    expect(readdirSync(dir)).toEqual(['a-b.mjs', 'a-b.test.mjs']);
  });

  it('a policy in TypeScript has types, and its test loads it', async () => {
    const dir = emptyFolder();
    await made('typed', '--ts', '--dir', dir);
    expect(readdirSync(dir)).toEqual(['typed.test.mjs', 'typed.ts']);
    const text = readFileSync(join(dir, 'typed.ts'), 'utf8');
    expect(text).toContain('const policy: LbrPolicy = {');
    expect(text).toContain('vlbr verify --policy ./typed.ts');
    expect(readFileSync(join(dir, 'typed.test.mjs'), 'utf8')).toContain("new URL('./typed.ts',");
  });

  it('both skeletons are one policy', () => {
    const folder = new URL('../../../src/questions/new_policy/skeleton/', import.meta.url);
    const [plain, typed] = ['policy.mjs', 'policy.ts.txt'].map((name) =>
      readFileSync(new URL(name, folder), 'utf8'),
    );
    const untyped = typed
      .replace(/, type \w+/g, '')
      .replace('const policy: LbrPolicy', 'const policy')
      .replace(/: SoundVcpu/g, '')
      .replaceAll('my-policy.ts', 'my-policy.mjs');
    expect(untyped).toBe(plain.replace(/^.*@type.*\n/m, ''));
  });

  it.each(['a-b.mjs', 'a-b.test.mjs'])('nothing is written where %s is there', async (name) => {
    const dir = emptyFolder();
    writeFileSync(join(dir, name), 'mine');
    await expect(made('a-b', '--dir', dir)).rejects.toThrow(
      new UsageError(`${join(dir, name)} is there already; take another name or --dir`),
    );
    expect(readdirSync(dir)).toEqual([name]);
    expect(readFileSync(join(dir, name), 'utf8')).toBe('mine');
  });

  it.each([
    ['My', `vlbr new policy: the name must be small letters, digits and '-', as 'my-policy'`],
    ['always', `vlbr new policy: the name 'always' is taken: vlbr has such a policy`],
  ])('the name %s is refused', async (name, says) => {
    const dir = emptyFolder();
    await expect(made(name, '--dir', dir)).rejects.toThrow(says);
    expect(readdirSync(dir)).toEqual([]);
  });

  it('a folder that can not be made is told in one line', async () => {
    const dir = emptyFolder();
    writeFileSync(join(dir, 'file'), '');
    const error: unknown = await made('mine', '--dir', join(dir, 'file')).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UsageError);
    expect(String(error)).toMatch(/E(?:EXIST|NOTDIR).*file/);
  });
});
