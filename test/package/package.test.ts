/**
 * The package, as an author of a policy has it: packed, installed into an empty project, and used
 * there from JavaScript, TypeScript and the command line.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const HOOK_MS = 300_000;

let folder = '';

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program in the project. */
function run(program: string, ...args: readonly string[]): Ended {
  return spawnSync(program, args, { cwd: join(folder, 'project'), encoding: 'utf8' });
}

function vlbr(...args: readonly string[]): Ended {
  return run(join('node_modules', '.bin', 'vlbr'), ...args);
}

function write(name: string, text: string): void {
  writeFileSync(join(folder, 'project', name), text);
}

/** Packs what `npm run build` makes, built apart from dist/, which may be in use. */
function packed(): string {
  const stage = join(folder, 'stage');
  const bin = (...path: readonly string[]): string => join(ROOT, 'node_modules', ...path);
  const build = (...args: readonly string[]): void => {
    execFileSync(process.execPath, args, { cwd: ROOT, stdio: 'pipe' });
  };
  build(bin('tsup', 'dist', 'cli-default.js'), '--out-dir', join(stage, 'dist'), '--silent');
  const types = ['-p', 'tsconfig.build.json', '--outDir', join(stage, 'dist')];
  build(bin('typescript', 'bin', 'tsc'), ...types);
  for (const name of readdirSync(ROOT)) {
    if (/\.md$|^(?:package\.json|LICENSE|docs|examples|schema)$/.test(name)) {
      cpSync(join(ROOT, name), join(stage, name), { recursive: true });
    }
  }
  const how = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder];
  const [{ filename }] = JSON.parse(
    execFileSync('npm', how, { cwd: stage, encoding: 'utf8', stdio: 'pipe' }),
  ) as [{ filename: string }];
  return join(folder, filename);
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vlbr-package-'));
  const tarball = packed();
  mkdirSync(join(folder, 'project'));
  write('package.json', '{ "name": "mine", "private": true, "type": "module" }');
  const how = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--silent'];
  execFileSync('npm', ['install', ...how, tarball], { cwd: join(folder, 'project') });
  // These are installed here already, at the versions that vlbr is tested with.
  const tools = ['fast-check', 'pure-rand', '@types/node', 'undici-types'];
  const ajv = ['ajv', 'fast-deep-equal', 'fast-uri', 'json-schema-traverse', 'require-from-string'];
  for (const name of [...tools, ...ajv]) {
    const to = join(folder, 'project', 'node_modules', name);
    if (existsSync(to)) continue;
    mkdirSync(dirname(to), { recursive: true });
    cpSync(join(ROOT, 'node_modules', name), to, { recursive: true });
  }
}, HOOK_MS);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('the package', () => {
  it('links of README that are no addresses lead to files of the package, or of the clone', () => {
    const readme = readFileSync(
      join(folder, 'project', 'node_modules', 'vlbr', 'README.md'),
      'utf8',
    );
    const links = [...readme.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path]) => path);
    const missing = links.filter(
      (path) => !existsSync(join(folder, 'project', 'node_modules', 'vlbr', path)),
    );
    expect(links.length).toBeGreaterThan(15);
    expect(new Set(missing)).toEqual(new Set(['.ci/run']));
  });

  it("README's program that checks a JSON by its schema runs", () => {
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
    const [, program = ''] = /```js\n(import \{ Ajv2020[^`]+)```/.exec(readme) ?? [];
    const { stdout } = vlbr('verify', '--policy', 'never', '--runs', '1', '--json');
    const asks = `console.log(isReport(${stdout}), isReport({}));`;
    write('checks.js', `${program}${asks}`);
    expect(run(process.execPath, 'checks.js').stdout).toBe('true false\n');
  });

  it('a new policy is as it declares at once, and nothing of the author is overwritten', () => {
    const made = vlbr('new', 'policy', 'my-own');
    expect([made.stderr, made.status]).toEqual(['', 0]);
    expect(made.stdout).toBe(
      'wrote my-own.mjs and my-own.test.mjs\nnext: vlbr verify --policy ./my-own.mjs\n',
    );
    const again = vlbr('new', 'policy', 'my-own');
    expect(again).toMatchObject({
      status: 2,
      stderr: 'vlbr: my-own.mjs is there already; take another name or --dir\n',
    });
    const judged = vlbr('verify', '--policy', './my-own.mjs', '--runs', '400', '--no-shorten');
    expect(judged.stdout).toMatch(/^sound, costs +my-own: no-needless-switch in/m);
    expect([judged.stderr, judged.status]).toEqual(['', 0]);
    const tested = run(process.execPath, 'my-own.test.mjs');
    expect(tested.stdout).toMatch(/ pass 2\n.* fail 0/);
    expect(tested.status).toBe(0);
  });

  it('a policy in TypeScript is typed, judged, explored, and replayed by its token', () => {
    expect(vlbr('new', 'policy', 'typed', '--ts', '--dir', 'policies').status).toBe(0);
    const path = join(folder, 'project', 'policies', 'typed.ts');
    const text = readFileSync(path, 'utf8');
    // Without its hook, the stack of the vCPU that leaves is lost.
    writeFileSync(path, text.replace('SOUND.vcpu_put(kvm, vcpu);', 'void [kvm, vcpu];'));
    const args = ['--policy', './policies/typed.ts', '--property', 'no-loss/any,no-fault'];
    const judged = vlbr('verify', ...args, '--runs', '100', '--json');
    expect(judged.status).toBe(1);
    const { results } = JSON.parse(judged.stdout) as {
      results: { verdict: string; counterexample: { token: string } | null }[];
    };
    expect(results.map(({ verdict }) => verdict)).toEqual(['fails', 'holds']);
    const token = results[0].counterexample?.token ?? '';
    const told = vlbr('replay', token, '--policy', './policies/typed.ts');
    expect(told.stdout).toMatch(/NOT as expected: the policy breaks it/);
    expect(vlbr('replay', token).stderr).toMatch(/^vlbr: there is no policy 'typed'; if it is a/);
    const explored = vlbr('explore', ...args, '--depth', '2', '--bound', '4');
    expect(explored.stdout).toContain('typed breaks no-loss/any: shortest schedule');
    expect(explored.status).toBe(1);
  });

  it('the declarations of the package are those of a strict project with NodeNext', () => {
    write(
      'uses.ts',
      `import { DEFAULT_SHAPES, findCpuModel, findPolicy, PASS_THROUGH, verify } from 'vlbr';
      import type { LbrPolicy, Report, Vcpu } from 'vlbr';
      import { schedules } from 'vlbr/fast-check';
      const mine: LbrPolicy = {
        ...PASS_THROUGH, name: 'mine', summary: '', cites: '', assumes: '', words: ['live'],
        needlessSwitches: 0, knownFailures: {}, notApplicable: {}, inUse: null,
        vcpu_put: (kvm, vcpu: Vcpu<'live'>) => { vcpu.words.live = 1; kvm.saveStack(vcpu, true); },
      };
      export const report: Report = verify({ policies: [mine], runs: 1 });
      const model = findCpuModel('skylake');
      const [shape] = DEFAULT_SHAPES;
      if (model && shape) schedules({ shape, model, kernel: '6.1', policy: mine });
      // @ts-expect-error A policy may be missing.
      export const name: string = findPolicy('always').name;`,
    );
    const options = ['--strict', '--module', 'nodenext', '--target', 'es2022', '--noEmit'];
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const checked = run(process.execPath, tsc, ...options, 'uses.ts', 'policies/typed.ts');
    expect([checked.stdout, checked.status]).toEqual(['', 0]);
  });
});
