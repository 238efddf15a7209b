/** The built command line, run as a user runs it: exit codes and output. */
import { spawn, spawnSync, type StdioOptions } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtFolder } from '../../rig/built.js';
import { record } from '../../rig/recordings.js';
import { wrongWithPrinted } from '../../rig/schemas.js';

/** A build takes a second, and much longer on a busy machine. */
const HOOK_MS = 120_000;

let cli = '';
let folder = '';

beforeAll(async () => {
  cli = join(await builtFolder(), 'cli.js');
  folder = mkdtempSync(join(tmpdir(), 'vlbr-cli-'));
}, HOOK_MS);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function vlbr(...args: readonly string[]): Ended {
  // In a CI environment, some libraries colour a pipe.
  const env = { ...process.env, CI: '1', FORCE_COLOR: '1' };
  return spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', env });
}

function file(name: string, text: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** Expects a usage error: a message that matches, nothing else, and no stack. */
function expectUsageError(ended: Ended, message: RegExp): void {
  expect(ended.stderr).toMatch(message);
  expect(ended.stderr).toMatch(/^vlbr: /);
  expect(ended.stderr).not.toMatch(/^\s+at /m);
  expect(ended.stdout).toBe('');
  expect(ended.status).toBe(2);
}

interface CounterexampleJson {
  readonly token: string;
  readonly text: string;
  readonly timeline: readonly string[];
  readonly actions: readonly { readonly kind: string; readonly args: readonly number[] }[];
}

interface VerifyJson {
  readonly schema: string;
  readonly elapsed_s: number;
  readonly unexpected: number;
  readonly interrupted: boolean;
  readonly schedules: readonly object[];
  readonly results: readonly {
    readonly policy: string;
    readonly property: string;
    readonly verdict: string;
    readonly expected: string;
    readonly runs: number;
    readonly reach: Readonly<Record<string, number>>;
    readonly counterexample: CounterexampleJson | null;
  }[];
}

const verifyJson = (text: string): VerifyJson => JSON.parse(text) as VerifyJson;

const SMALL = ['verify', '--policy', 'never,always', '--property', 'no-leak,no-fault'];

describe('vlbr verify --json', () => {
  const ended = (): Ended => vlbr(...SMALL, '--runs', '40', '--json');
  let first: Ended;
  beforeAll(() => {
    first = ended();
  }, HOOK_MS);

  it('vlbr verify --json prints one object with every documented key, and nothing else', () => {
    const json = verifyJson(first.stdout);
    expect(first.stderr).toBe('');
    expect(wrongWithPrinted(first.stdout)).toEqual([]);
    for (const key of ['schema', 'kernel', 'driver', 'cpu', 'seed', 'elapsed_s', 'steps']) {
      expect(json).toHaveProperty(key);
    }
    expect(json).toMatchObject({ schema: 'vlbr/verify/2', driver: 'port', cpu: 'skylake' });
    // Of the build, which is of this clone, if git knows it.
    const [, , version, commit] = first.stdout.split('\n');
    expect(version).toMatch(/^ {2}"version": "0\.\d+\.\d+",$/);
    expect(commit).toMatch(/^ {2}"commit": (?:"[0-9a-f]{40}(?:-dirty)?"|null),$/);
    if (existsSync('.git')) expect(first.stdout).not.toContain('"commit": null');
    expect(json).toMatchObject({ kernel: '6.1', seed: 1, steps: 80 * 60, interrupted: false });
    expect(json.results.map(({ policy, property }) => `${policy} ${property}`)).toEqual([
      'never no-leak/vm',
      'never no-leak/task',
      'never no-fault',
      'always no-leak/vm',
      'always no-leak/task',
      'always no-fault',
    ]);
    for (const result of json.results) {
      expect(result.runs).toBe(40);
      expect(Object.keys(result.reach).length).toBeGreaterThan(10);
      expect(result.counterexample === null).toBe(result.verdict !== 'fails');
    }
  });
  it('vlbr verify --json counts unexpected verdicts, and exits 5 if and only if it has any', () => {
    const json = verifyJson(first.stdout);
    const unexpected = json.results.filter(({ verdict, expected }) => verdict !== expected);
    expect(json.unexpected).toBe(unexpected.length);
    expect(first.status).toBe(unexpected.length > 0 ? 5 : 0);
  });
  it('vlbr verify --json prints the same bytes for the same seed, except for the time', () => {
    const bytes = (text: string): string => text.replace(/"elapsed_s": [\d.]+/, '');
    expect(bytes(ended().stdout)).toBe(bytes(first.stdout));
  });
  it('a counterexample in JSON is always one that its token shows again', () => {
    const found = verifyJson(first.stdout).results.flatMap(({ property, counterexample }) =>
      counterexample === null ? [] : [{ property, counterexample }],
    );
    expect(found.length).toBeGreaterThan(0);
    for (const { property, counterexample } of found) {
      const again = vlbr('replay', counterexample.token, '--json');
      expect(again.status).toBe(0);
      expect(wrongWithPrinted(again.stdout)).toEqual([]);
      expect(JSON.parse(again.stdout)).toMatchObject({
        property,
        whose: 'policy',
        text: counterexample.text,
        timeline: counterexample.timeline,
        actions: counterexample.actions,
      });
    }
  });
  it('vlbr verify exits 5 when a known failure was not met', () => {
    const short = vlbr('verify', '--policy', 'never', '--runs', '1', '--json');
    expect(verifyJson(short.stdout).unexpected).toBeGreaterThan(0);
    expect(short.status).toBe(5);
  });
  it('vlbr replay always replays a report as a whole', () => {
    const path = file('report.json', first.stdout);
    const { status, stdout } = vlbr('replay', path);
    expect(stdout).toMatch(/^never, no-leak\/vm: skylake, Linux 6\.1 guest$/m);
    expect(stdout).toMatch(/^as expected: the policy breaks it \(known: /m);
    expect(status).toBe(0);
  });
});

describe('vlbr verify', () => {
  it('vlbr verify prints the matrix, what was run, and timelines that can be replayed', () => {
    const { stdout, stderr } = vlbr(...SMALL, '--runs', '40', '--show', 'all');
    expect(stderr).toBe('');
    for (const line of stdout.split('\n')) {
      expect(line).toMatch(line.startsWith('  vlbr replay ') ? /^ {2}[\w .-]+$/ : /^[ -~]{0,80}$/);
    }
    expect(stdout).toMatch(/^ +1  2  3$/m);
    expect(stdout).toMatch(/^never +x/m);
    expect(stdout).toMatch(/^random: 80 runs, 4,800 actions \(mean 60\.0 a run\)/m);
    expect(stdout).toContain('0 % skipped');
    expect(stdout).toMatch(/^foreign-in-registers +[\d.kM]+ +[\d.kM]+$/m);
    expect(stdout).toMatch(/=> breaks no-leak\/vm: v\d+: RDMSR (FROM|TO|INFO)_\d+ returned/);
    expect(stdout).toMatch(/^ +DEBUGCTL /m);
    const [, token = ''] = /vlbr replay (\S+)/.exec(stdout) ?? [];
    expect(vlbr('replay', token).status).toBe(0);
  });
  it('vlbr verify shortens what it has found, unless told not to', () => {
    const args = [
      'verify',
      '--policy',
      'never',
      '--property',
      'no-leak/vm',
      '--runs',
      '40',
      '--show',
      '1',
    ];
    expect(vlbr(...args).stdout).toContain('1: never breaks no-leak/vm: 3 actions (minimal)');
    const found = vlbr(...args, '--no-shorten').stdout;
    expect(found).toMatch(/^1: never breaks no-leak\/vm: \d+ actions \(shrunk\)$/m);
  });
  it('vlbr verify takes one machine when a part of it is given', () => {
    const report = join(folder, 'verify.tap');
    const forms = ['--reporter', `tap=${report}`];
    const { stdout } = vlbr(...SMALL, '--runs', '1', '--vcpus', '3', ...forms);
    expect(readFileSync(report, 'utf8')).toMatch(
      /^TAP version 13\n1\.\.\d+\n# vlbr verify\n(?:not )?ok 1 - never: no-leak\/vm\n/,
    );
    expect(stdout).toContain('machines: 2 VMs of 3 vCPUs and 3 tasks on 1 pCPU');
  });
  it('vlbr verify always ends with a report when it is interrupted', async () => {
    const args = [cli, 'verify', '--policy', 'always', '--runs', '1000000', '--json'];
    const child = spawn(process.execPath, args);
    let stdout = '';
    child.stdout.on('data', (text: Buffer) => {
      stdout += text.toString();
    });
    setTimeout(() => child.kill('SIGINT'), 2000);
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code).toBe(4);
    expect(verifyJson(stdout).interrupted).toBe(true);
  });
});

describe('vlbr verify --schedule', () => {
  const OTHER_VM = 'CPU 0/TCG';
  const line = (cpu: number, time: string, prev: string, next: string): string =>
    `  x-1 [${String(cpu).padStart(3, '0')}] d..2. ${time}: sched_switch: ` +
    `prev_comm=${prev} prev_pid=${pid(prev)} prev_prio=120 prev_state=S ==> ` +
    `next_comm=${next} next_pid=${pid(next)} next_prio=120`;
  const pid = (comm: string): number =>
    ({ 'CPU 0/KVM': 7, 'CPU 1/KVM': 8, [OTHER_VM]: 9 })[comm] ?? 0;
  const good = [
    '#                 entries-in-buffer/entries-written: 3/3   #P:2',
    line(0, '1.000001', 'idle', 'CPU 0/KVM'),
    line(0, '1.000002', 'CPU 0/KVM', 'CPU 1/KVM'),
    line(0, '1.000003', 'CPU 1/KVM', 'CPU 0/KVM'),
  ];

  it('vlbr verify --schedule always runs on the recorded machine', () => {
    const path = file('good.txt', good.join('\n'));
    const { stdout } = vlbr(...SMALL, '--runs', '2', '--schedule', path, '--width', '100');
    expect(stdout).toContain(`schedule: ${path}: 2 vCPUs of 1 VM on 1 pCPU, 3 vCPU switches`);
    // Who is taken for a vCPU is said before the run.
    const guess = 'VM 0: CPU 0/KVM-7, CPU 1/KVM-8 (vCPUs by its name; VM by order of pids, guess)';
    expect(stdout.indexOf(guess)).toBeGreaterThan(0);
    expect(stdout.indexOf(guess)).toBeLessThan(stdout.indexOf('vlbr verify:'));
  });

  describe('with more windows than --runs', () => {
    const VM0 = 'CPU 0/KVM';
    /** In two windows one vCPU has the pCPU alone. In a third, two VMs share it. */
    const recorded = Array.from({ length: 72 }, (_, i) => {
      const alone = i < 48;
      const threads = alone ? [VM0, 'idle'] : [VM0, OTHER_VM];
      const [next, prev] = [threads[i % 2], i === 48 ? 'idle' : threads[(i + 1) % 2]];
      return line(0, `1.${String(i + 1).padStart(6, '0')}`, i === 0 ? 'idle' : prev, next);
    });
    const args = (...more: readonly string[]): string[] => {
      const path = file('three-windows.txt', [...good.slice(0, 1), ...recorded].join('\n'));
      const what = ['--policy', 'never', '--property', 'no-loss/any', '--no-shorten'];
      return ['verify', ...what, '--schedule', path, ...more];
    };

    it.each([1, 2])(
      'vlbr verify --schedule runs every window, the last one too: --runs %i',
      (runs) => {
        const json = verifyJson(vlbr(...args('--runs', String(runs), '--json')).stdout);
        expect(json.schedules).toMatchObject([{ vms: 2, vcpu_switches: 72, windows: 3 }]);
        expect(json.results).toMatchObject([{ runs: 3, verdict: 'fails' }]);
      },
    );
    it('a lower --runs never changes the verdicts of the windows', () => {
      const results = ['1', '2', '3'].map(
        (runs) => verifyJson(vlbr(...args('--runs', runs, '--json')).stdout).results,
      );
      expect(results[0]).toEqual(results[2]);
      expect(results[1]).toEqual(results[2]);
    });
    it('vlbr verify says how many runs the windows take, if that is more than --runs', () => {
      const says = 'runs: 3 for each policy, and not 2, since what is recorded fills 3 windows of';
      expect(vlbr(...args('--runs', '2')).stdout).toContain(says);
      expect(vlbr(...args('--runs', '3')).stdout).not.toMatch(/^runs: /m);
    });
  });

  const broken: readonly (readonly [what: string, text: string | Uint8Array, message: RegExp])[] = [
    ['a truncated line', [...good, good[1].slice(0, 90)].join('\n'), /:5: .*cut off/],
    ['a damaged CPU', [...good, line(9999, '1.1', 'a', 'b')].join('\n'), /:5: CPU 9999 is none/],
    [
      'a thread on two CPUs',
      [...good, line(1, '1.1', 'idle', 'CPU 0/KVM')].join('\n'),
      /:5: .*runs on CPU 1 here, but/,
    ],
    ['no switch at all', 'nothing of interest\n', /no sched_switch/],
    ['no vCPU', line(0, '1.1', 'a', 'b'), /--vcpu-threads REGEX/],
    ['a binary trace.dat', Uint8Array.from([0x17, 8, 0x44, ...Buffer.from('tracing')]), /binary/],
  ];
  it.each(broken)(
    'vlbr verify --schedule refuses %s before anything runs',
    (what, text, message) => {
      const path = file(`${what.replaceAll(' ', '-')}.txt`, text);
      const ended = vlbr('verify', '--schedule', path);
      expectUsageError(ended, message);
      expect(ended.stderr).toContain(path);
    },
  );
});

describe('vlbr look', () => {
  it('vlbr look reads standard input, and ends at Ctrl-C with what is known', async () => {
    const child = spawn(process.execPath, [cli, 'look', '--last', '2', '-'], { stdio: 'pipe' });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    // The last line is not whole when the signal comes.
    child.stdin.write(`${record(['0 0 100', '0 100 101', '0 101 0'])}\n  x-1 [000`);
    // Nothing tells from outside that the text was read; by then it has been.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    child.kill('SIGINT');
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(4);
    expect(stderr).toContain('ending with what is known');
    expect(stdout).toContain('vlbr look: standard input');
    expect(stdout).toContain('2 sched_switch events');
    expect(stdout).toContain('the reading was interrupted');
  });
});

describe('usage errors', () => {
  const bad: readonly (readonly [args: string, message: RegExp])[] = [
    ['verify --runs 0', /--runs.*whole number from 1 to/],
    ['verify --runs x', /--runs.*whole number/],
    ['verify --runs 1e3', /--runs.*whole number/],
    ['verify --runs', /--runs.*missing/],
    ['verify --seed -1', /--seed.*whole number from 0 to 4294967295/],
    ['verify --vms 9', /--vms.*from 1 to 6/],
    ['verify --pcpus 0', /--pcpus.*from 1 to 8/],
    ['verify --vcpus 4 --tasks 2', /--tasks must be between the vCPUs of a VM \(4\)/],
    ['verify --policy nevr', /no policy 'nevr'. Did you mean never\? There are: never, always/],
    ['verify --policy never,,always', /no policy ''/],
    ['verify --policy mediated', /policy mediated needs a kernel with the mediated PMU: 7\.3/],
    ['explore --policy never,mediated-lbr --kernel 6.12', /policy mediated-lbr needs a kernel/],
    ['verify --property leak', /no property 'leak'.*no-leak\/vm/],
    ['verify --show mergd', /no counterexample 'mergd'. Did you mean merged\?/],
    ['verify --width 39', /--width.*whole number from 40 to 1000/],
    ['verify --quiet --summary', /--quiet.*cannot be used with option '--summary'/],
    ['verify --cpu i386', /no CPU 'i386'. There are: .*skylake/],
    ['verify --kernel 5.0', /--kernel.*6\.1, 6\.12, 7\.3, 4\.18/],
    ['verify --schedule /nowhere/x.txt', /\/nowhere\/x\.txt: there is no such file/],
    ['verify --schedule a --vms 2', /with --schedule the machine is the recorded one/],
    ['verify --vcpu-threads x', /--vcpu-threads says how a --schedule is read: give one/],
    ['verify --allow-gaps', /--allow-gaps says how a --schedule is read: give one/],
    ['verify --schedule a --vcpu-threads (', /--vcpu-threads.*regular expression/],
    ['verify --polcy never', /unknown option '--polcy'\n\(Did you mean --policy\?\)/],
    ['verify never', /too many arguments/],
    ['verify --without nonsense', /no action or group of actions 'nonsense'.* There are: calls,/],
    ['verify --without calls', /--without calls leaves no action out, since .*other groups/],
    ['verify --jobs 0', /--jobs.*whole number from 1 to/],
    ['verify --time-limit 5x', /--time-limit.*whole number of s, m or h, as 10m/],
    ['verify --reporter xml', /--reporter.*names: tap, ktap, junit, github, gitlab/],
    ['verify --reporter tap --json', /standard output takes one of them/],
    ['verify --policy ./nowhere.mjs', /--policy \.\/nowhere\.mjs: there is no such file/],
    ['explain nothing-like-it', /there is nothing named 'nothing-like-it'/],
    ['new policy never', /the name 'never' is taken/],
    ['explore --depth 99', /--depth.*must be 2 or 4/],
    ['cost', /required option '--host <file>' not specified/],
    ['cost --host /nowhere', /\/nowhere: there is no such file; check the path/],
    ['review', /missing required argument 'patch'/],
    ['look', /missing required argument 'file'/],
    ['look x --last 0', /--last.*whole number from 1 to/],
    ['replay', /missing required argument/],
    ['replay v1.AAAA', /no replay token/],
    ['replay nowhere.json', /nowhere\.json: there is no such file/],
    ['list everything', /policies, properties, cpus/],
    ['frobnicate', /unknown command 'frobnicate'/],
  ];
  it.each(bad)('a usage error is always explained: vlbr %s', (args, message) => {
    expectUsageError(vlbr(...args.split(' ')), message);
  });
  it('without a command vlbr always prints its help', () => {
    const { status, stdout, stderr } = vlbr();
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Usage: vlbr');
  });
});

describe('vlbr --help, --version and list', () => {
  it('vlbr --help says what each option is, its unit and its default', () => {
    const { status, stdout } = vlbr('verify', '--help');
    expect(status).toBe(0);
    for (const words of [
      '--runs <n>',
      'of 60 actions (default: 4000)',
      '"skylake"',
      '--time-limit',
    ]) {
      expect(stdout).toContain(words);
    }
  });
  it('vlbr --version is always the version of the package', () => {
    expect(vlbr('--version').stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
  it.each(['policies', 'properties', 'cpus'])(
    'vlbr list always lists %s, as a table and as JSON',
    (what) => {
      const { stdout } = vlbr('list', what, '--json');
      expect(wrongWithPrinted(stdout)).toEqual([]);
      const json = JSON.parse(stdout) as Record<string, unknown>;
      const table = vlbr('list', what).stdout;
      const names = (json[what] as { readonly name: string }[]).map(({ name }) => name);
      expect(json.schema).toBe('vlbr/list/2');
      expect(names.length).toBeGreaterThan(7);
      for (const name of names) expect(table).toMatch(new RegExp(`^${name} `, 'm'));
    },
  );
  it('vlbr list always has the same keys for a CPU in JSON, whatever the code calls them', () => {
    const { cpus } = JSON.parse(vlbr('list', 'cpus', '--json').stdout) as { cpus: object[] };
    const facts = 'lbr_from lbr_to lbr_info callstack tsx cstate_wipe name uarch models lbr_nr';
    const more = 'lbr_format lbr_pt_coexist select lbr_init pmu_version cites zero_call_pushed';
    for (const cpu of cpus)
      expect(Object.keys(cpu).toSorted()).toEqual(`${facts} ${more}`.split(' ').toSorted());
  });
  it('vlbr says in a line that the reader of its output has gone', async () => {
    const child = spawn(process.execPath, [cli, ...SMALL, '--runs', '1']);
    child.stdout.destroy();
    let stderr = '';
    child.stderr.on('data', (text: Buffer) => {
      stderr += text.toString();
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(stderr).toBe("vlbr: the report can't be written: write EPIPE\n");
    expect(code).toBe(6);
  });
});

describe('the exit codes', () => {
  const codesIn = (help: string): number[] => {
    const list = help.slice(help.indexOf('Exit codes:'));
    return [...list.matchAll(/^ {2}(\d+) +\S/gm)].map(([, code]) => Number(code));
  };

  it('the exit codes are all in the help of vlbr', () => {
    expect(codesIn(vlbr('--help').stdout)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it.each([
    ['verify', [0, 1, 2, 3, 4, 5, 6]],
    ['explore', [0, 1, 2, 3, 4, 6]],
    ['replay', [0, 1, 2, 3, 5, 6]],
    ['review', [0, 1, 2, 3, 4, 6, 7, 8]],
    ['conform', [0, 1, 2, 3, 4, 6]],
    ['corpus', [0, 2, 3, 4, 5, 6]],
    ['cost', [0, 2, 3, 4, 6]],
    ['look', [0, 1, 2, 3, 4, 6]],
    ['kernel build', [0, 2, 3, 4, 6]],
    ['list', [0, 2, 3, 6]],
  ])('the help of vlbr %s has the exit codes of this command', (command, codes) => {
    expect(codesIn(vlbr(...command.split(' '), '--help').stdout)).toEqual(codes);
  });

  it.skipIf(!existsSync('/dev/full'))(
    'the exit code for a full disk is never that of a verdict',
    () => {
      const full = openSync('/dev/full', 'w');
      const stdio: StdioOptions = ['ignore', full, 'pipe'];
      const ended = spawnSync(process.execPath, [cli, 'list', 'cpus'], { encoding: 'utf8', stdio });
      closeSync(full);
      expect(ended.stderr).toMatch(/^vlbr: the report can't be written: ENOSPC.*\n$/);
      expect(ended.status).toBe(6);
    },
  );

  it('the exit code for an exception outside every command is never that of a verdict', () => {
    const thrower = file(
      'thrower.mjs',
      "import { isMainThread } from 'node:worker_threads';\n" +
        "if (isMainThread) setTimeout(() => { throw new Error('late'); }, 2000);\n",
    );
    const args = ['--import', thrower, cli, 'verify', '--policy', 'never', '--runs', '1000000000'];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect(stderr).toMatch(/^vlbr: this is a bug of vlbr, not a verdict\nError: late\n/);
    expect(status).toBe(3);
  });
});
