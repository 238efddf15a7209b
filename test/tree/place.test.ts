/** Files that are written whole, and what is there for a time only: nothing of it stays. */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { place, placeFolder } from '../../src/tree/place.js';
import { run } from '../../src/tree/run.js';
import { discard, scratchBeside, scratchFolder } from '../../src/tree/scratch.js';

const ROOT = mkdtempSync(join(tmpdir(), 'vlbr-place-'));
const at = (name: string): string => join(ROOT, name);

beforeEach(() => {
  for (const name of readdirSync(ROOT)) rmSync(at(name), { recursive: true });
});
afterAll(() => rmSync(ROOT, { recursive: true }));

/** Runs a module that imports those of vlbr by their source, until it prints or ends. */
async function inProcess(text: string, kill?: NodeJS.Signals): Promise<void> {
  const src = fileURLToPath(new URL('../../src/tree/', import.meta.url));
  const code = text.replaceAll('SRC', src);
  const args = ['--import', 'tsx', '--input-type=module', '-e', code];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = new Promise((resolve) => child.on('close', resolve));
  child.stdout.once('data', () => kill !== undefined && child.kill(kill));
  await closed;
}

const SCRATCH = "import { scratchFolder } from 'SRCscratch.ts';\n";

describe('a file that is placed', () => {
  it('is there as a whole, keeps its mode, and leaves nothing beside it', () => {
    place(at('a.txt'), 'one');
    chmodSync(at('a.txt'), 0o600);
    place(at('a.txt'), 'two');
    expect(readFileSync(at('a.txt'), 'utf8')).toBe('two');
    expect(statSync(at('a.txt')).mode & 0o777).toBe(0o600);
    expect(readdirSync(ROOT)).toEqual(['a.txt']);
  });
  it('is another file than before, so that who reads the old one reads all of it', () => {
    place(at('a.txt'), 'one');
    linkSync(at('a.txt'), at('old'));
    place(at('a.txt'), 'two');
    expect(readFileSync(at('old'), 'utf8')).toBe('one');
  });
  it('goes where a link leads, and the link stays', () => {
    mkdirSync(at('there'));
    writeFileSync(at('there/a.txt'), 'one');
    symlinkSync(at('there/a.txt'), at('link'));
    place(at('link'), 'two');
    expect(readFileSync(at('there/a.txt'), 'utf8')).toBe('two');
    expect(readdirSync(ROOT).toSorted()).toEqual(['link', 'there']);
  });
  it('is written to where it is a device', () => {
    place('/dev/null', 'text');
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
    expect(() => place('/dev/full', 'text')).toThrow('ENOSPC');
  });
  it('is as before where it can’t be written, and nothing is left', () => {
    mkdirSync(at('folder'));
    expect(() => place(at('folder'), 'text')).toThrow('EISDIR');
    expect(() => place(at('none/a.txt'), 'text')).toThrow('ENOENT');
    expect(readdirSync(ROOT)).toEqual(['folder']);
  });
  it('is a folder as well: who is first wins, and a failure leaves nothing', async () => {
    const fill = async (folder: string): Promise<void> => writeFileSync(join(folder, 'a'), 'one');
    expect(await placeFolder(at('x/y'), fill)).toBe(at('x/y'));
    await placeFolder(at('x/y'), async () => {
      throw new Error('it is there');
    });
    expect(readFileSync(at('x/y/a'), 'utf8')).toBe('one');
    const failing = placeFolder(at('x/z'), async (folder) => {
      await fill(folder);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(readdirSync(at('x'))).toEqual(['y']);
  });
});

describe('a scratch path', () => {
  const dead = (host: string, pid: number): string => at(`.x.vlbr-${host}-${pid}-0`);
  const here = hostname().replaceAll(/[^A-Za-z0-9]/g, '');
  /** No process has it: the kernel's highest is lower. */
  const NOBODY = 2 ** 22 + 1;

  it('is of this process alone, and is removed by discard', () => {
    const folder = scratchFolder();
    expect(folder.startsWith(join(tmpdir(), '.vlbr.vlbr-'))).toBe(true);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    writeFileSync(join(folder, 'a'), 'one');
    discard(folder);
    expect(existsSync(folder)).toBe(false);
    expect(process.listeners('exit').map(({ name }) => name)).not.toContain('removeMine');
  });
  it('is removed where a killed process of this machine has left it', () => {
    mkdirSync(dead(here, NOBODY));
    writeFileSync(join(dead(here, NOBODY), 'a'), 'one');
    for (const name of [dead(here, process.ppid), dead('elsewhere', NOBODY), at('y.vlbr-x')]) {
      writeFileSync(name, '');
    }
    discard(scratchBeside(at('x')));
    expect(existsSync(dead(here, NOBODY))).toBe(false);
    expect(readdirSync(ROOT).length).toBe(3);
  });
  it('goes with its process, whether that ends by itself, by an error, or is killed', async () => {
    const left = (): string[] => readdirSync(ROOT);
    const make = `${SCRATCH}const folder = scratchFolder(${JSON.stringify(at('x'))});\n`;
    await inProcess(make);
    await inProcess(`${make}process.on('uncaughtException', () => process.exit(3)); throw 1;`);
    expect(left()).toEqual([]);
    await inProcess(`${make}console.log(1); setInterval(() => {}, 1000);`, 'SIGKILL');
    expect(left().length).toBe(1);
    await inProcess(make);
    expect(left()).toEqual([]);
  });
});

describe('a program that is run', () => {
  it('gives what it prints, in its folder, or what is wrong', async () => {
    expect(await run('pwd', [], { cwd: ROOT })).toBe(`${ROOT}\n`);
    await expect(run('cat', [at('none')])).rejects.toMatchObject({ code: 1 });
    await expect(run('vlbr-has-no-such-tool', [])).rejects.toMatchObject({ code: 'ENOENT' });
  });
  it('ends when this process does', async () => {
    const script = `sleep 1; echo late > ${JSON.stringify(at('late'))}`;
    const args = JSON.stringify(['-c', script]);
    const code = `import { run } from 'SRCrun.ts';\nrun('sh', ${args}).catch(() => {});\n`;
    await inProcess(`${code}setTimeout(() => process.exit(0), 100);`);
    await new Promise((resolve) => setTimeout(resolve, 1300));
    expect(readdirSync(ROOT)).toEqual([]);
  });
  it('that a signal has ended lets a signal to this process come first', async () => {
    const began = performance.now();
    await expect(run('sh', ['-c', 'kill -TERM $$'])).rejects.toMatchObject({ signal: 'SIGTERM' });
    expect(performance.now() - began).toBeGreaterThan(150);
  });
});
