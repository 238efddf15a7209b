/** `vlbr cost`, built and run as a user runs it, and what it refuses before anything runs. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cost, type CostOptions } from '../../../src/questions/cost/cost.js';
import { builtFolder } from '../../rig/built.js';
import { ftraceLine, record } from '../../rig/recordings.js';
import { wrongWithPrinted } from '../../rig/schemas.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const HOOK_MS = 120_000;
const EXAMPLE = 'examples/two-vms-one-cpu';
const HOST = `${EXAMPLE}/host.txt.gz`;

let cli = '';
let folder = '';

beforeAll(async () => {
  cli = join(await builtFolder(), 'cli.js');
  folder = mkdtempSync(join(tmpdir(), 'vlbr-cost-'));
}, HOOK_MS);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function vlbr(...args: readonly string[]) {
  return spawnSync(process.execPath, [cli, 'cost', ...args], { encoding: 'utf8', cwd: ROOT });
}

let time = 5e9;

/** A switch from a thread to another one, a microsecond after the one before. */
function line(prevPid: number, prevComm: string, nextPid: number): string {
  const nextComm = nextPid === 0 ? 'swapper/0' : 'CPU 0/KVM';
  return ftraceLine({ cpu: 0, time: (time += 1000), prevComm, prevPid, nextComm, nextPid });
}

interface Json {
  readonly interrupted: boolean;
  readonly recordings: readonly {
    readonly guests: readonly object[];
    readonly profiles: readonly {
      readonly policies: readonly Readonly<Record<string, number | boolean>>[];
    }[];
  }[];
}

describe('vlbr cost', () => {
  it('counts a recording, the same each time, and writes a chart', () => {
    const chart = join(folder, 'chart.svg');
    const asked = ['--host', HOST, '--profile', 'always', '--policy', 'never,merged,lazy-sound'];
    const { status, stdout, stderr } = vlbr(...asked, '--svg', chart);
    expect([status, stderr]).toEqual([0, '']);
    const said = '8,016 vCPU switches, 1,312 changes of the vCPU on a pCPU; 3.964 s';
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain(said);
    expect(stdout).toMatch(/^never +0 +0 +0 +0 +0 +0 +0 +0$/m);
    expect(stdout).toMatch(/^A guest reads something wrong here under never\b/m);
    expect(vlbr(...asked).stdout).toBe(stdout);
    expect(readFileSync(chart, 'utf8')).toMatch(/^<svg/);
  });

  it('has a guest switch tasks when its own recording says so', () => {
    const guest = ['--guest', `0=${EXAMPLE}/guest-a.txt.gz`];
    const asked = ['--host', HOST, '--profile', 'always', '--policy', 'lazy-sound', '--json'];
    const [without, within] = [[], guest].map((more) => {
      const { status, stdout } = vlbr(...asked, ...more);
      expect(status).toBe(0);
      expect(wrongWithPrinted(stdout)).toEqual([]);
      return JSON.parse(stdout) as Json;
    });
    const of = ({ recordings: [one] }: Json) => one.profiles[0].policies[0];
    expect(of(within)).not.toEqual(of(without));
    expect(of(within)['arrivals']).toBe(of(without)['arrivals']);
    expect(within.recordings[0].guests).toHaveLength(1);
  });

  it('prints nothing but values with --csv', () => {
    const { status, stdout } = vlbr(
      '--host',
      HOST,
      '--profile',
      'never',
      '--policy',
      'always',
      '--csv',
    );
    const lines = stdout.trimEnd().split('\n');
    expect([status, lines.length]).toEqual([0, 1 + 3]);
    expect(new Set(lines.map((one) => one.split(',').length)).size).toBe(1);
  });

  it('takes the exits that were recorded, and no entries', () => {
    const rows = ['0 0 100', 'kvm_exit', 'kvm_entry', 'kvm_exit', 'kvm_entry', '0 100 0'];
    const told = rows.map((row, i) => {
      const what = row === 'kvm_exit' ? 'reason HLT rip 0x1 info 0 0' : 'vcpu 0, rip 0x1';
      const at = `5.${String(i).padStart(6, '0')}`;
      const event = `   CPU 0/KVM-100   [000] d..1.     ${at}: ${row}: ${what}`;
      return row.startsWith('kvm') ? event : record([row]).replace('5.000000', `5.00000${i}`);
    });
    const saves = (lines: readonly string[]): number => {
      const file = join(folder, 'exits.txt');
      writeFileSync(file, lines.join('\n'));
      const asked = ['--profile', 'never,exits=0', '--policy', 'v1-vmx', '--json'];
      const { stdout } = vlbr('--host', file, ...asked);
      return Number((JSON.parse(stdout) as Json).recordings[0].profiles[0].policies[0]['saves']);
    };
    const without = saves(told.filter((one) => !one.includes('kvm_')));
    expect(saves(told) - without).toBe(2);
  });

  it('leaves exits out, and takes words for what is never played', () => {
    const asked = ['--host', HOST, '--profile', 'never', '--policy', 'v1-vmx', '--csv'];
    const saves = (...more: string[]): number[] => {
      const [head, ...rows] = vlbr(...asked, ...more)
        .stdout.trimEnd()
        .split('\n')
        .map((row) => row.split(','));
      return rows.map((row) => Number(row[head.indexOf('saves')]));
    };
    const [all, without, none] = [[], ['exits,host'], ['host,migrate']].map((words) =>
      saves(...words.flatMap((word) => ['--without', word])),
    );
    expect(all.every((n, i) => n > without[i])).toBe(true);
    expect(none).toEqual(all);
  });

  it('ends with what was played until then on SIGTERM', async () => {
    const long = ['--host', HOST, '--profile', 'always,hz=100000,switches=100000', '--json'];
    const child = spawn(process.execPath, [cli, 'cost', ...long], { cwd: ROOT });
    let stdout = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    setTimeout(() => child.kill('SIGTERM'), 3000);
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code).toBe(4);
    const json = JSON.parse(stdout) as Json;
    expect(json.interrupted).toBe(true);
    const played = json.recordings[0].profiles[0].policies;
    expect(played.some(({ complete }) => !complete)).toBe(true);
  });

  it('plays what was read when Ctrl-C ends a recording, and says so', async () => {
    const child = spawn(process.execPath, [
      cli,
      'cost',
      '--host',
      '-',
      '--policy',
      'never',
      '--json',
    ]);
    let stdout = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stdin.write(record(['0 0 100', '0 100 200', '0 200 100', '0 100 0']));
    setTimeout(() => child.kill('SIGINT'), 3000);
    const code = await new Promise((resolve) => child.on('close', resolve));
    const { interrupted, recordings } = JSON.parse(stdout) as Json;
    expect([code, interrupted, recordings.length]).toEqual([4, true, 1]);
  });
});

describe('what vlbr cost refuses', () => {
  const OPTIONS: CostOptions = {
    host: [join(ROOT, HOST)],
    policy: 'never',
    cpu: 'skylake',
    kernel: '6.1',
    seed: 1,
  };

  it.each([
    [{ json: true, csv: true }, '--json and --csv both want standard output'],
    [{ policy: 'nobody' }, "there is no policy 'nobody'"],
    [{ policy: 'kvm' }, 'policy kvm is code of a kernel tree, which vlbr cost does not run'],
    [{ policy: 'merged,kvm' }, 'policy kvm is code of a kernel tree'],
    [{ svg: '/nowhere/chart.svg', host: ['/nowhere.txt'] }, "/chart.svg can't be written: ENOENT"],
    [{ svg: '/', host: ['/nowhere.txt'] }, "/ can't be written: EISDIR"],
    [{ policy: 'mediated' }, 'policy mediated needs a kernel with the mediated PMU: 7.3'],
    [{ cpu: '486' }, "there is no CPU '486'"],
    [{ without: 'exits,gaps' }, '--without gaps: what can be left out is: exits, host, migrate'],
    [{ profile: ['often'] }, "there is no profile 'often'"],
    [{ costs: '/nowhere.json' }, '--costs /nowhere.json: ENOENT'],
    [{ sweep: 'exit' }, '--sweep exit: give NAME=LOW..HIGH, as exit=1000..4000; names: read'],
    [{ sweep: 'ghz=1..2' }, '--sweep ghz=1..2: give NAME=LOW..HIGH'],
    [{ sweep: 'exit=4000..1000' }, '--sweep exit=4000..1000: give NAME=LOW..HIGH'],
    [{ host: ['/nowhere.txt'] }, '/nowhere.txt: there is no such file'],
    [
      { host: [join(ROOT, HOST), join(ROOT, HOST)], guest: ['0=x'] },
      '--guest names a VM of one host; give one --host',
    ],
    [{ guest: ['0=x', '1=y', '0=z'] }, '--guest 0=z: VM 0 has a --guest already'],
    [{ guest: ['7=x'] }, '--guest 7=x: give VM=FILE; the VMs are: 0, 1'],
  ])('%o', async (changes, why) => {
    await expect(cost({ ...OPTIONS, ...changes })).rejects.toThrow(why);
  });

  it('a recording in which no vCPU is switched', async () => {
    const file = join(folder, 'still.txt');
    writeFileSync(file, record(['0 50 60', '0 60 50']));
    await expect(cost({ ...OPTIONS, host: [file] })).rejects.toThrow(/there is no vCPU/);
  });

  it('a recording of more vCPUs than can be told apart', async () => {
    const file = join(folder, 'many.txt');
    const rows = Array.from({ length: 449 }, (_, i) => 1000 + i).flatMap((pid) => [
      line(0, 'swapper/0', pid),
      line(pid, 'CPU 0/KVM', 0),
    ]);
    writeFileSync(file, rows.join('\n'));
    await expect(cost({ ...OPTIONS, host: [file] })).rejects.toThrow(
      'many.txt: 449 vCPUs, and vlbr cost plays at most 448; name fewer with --vcpu-threads REGEX',
    );
  });

  it('a chart that can’t be written', () => {
    const { status, stderr } = vlbr(
      '--host',
      HOST,
      '--profile',
      'never',
      '--policy',
      'never',
      '--svg',
      '/no/x.svg',
    );
    expect([status, stderr]).toEqual([
      6,
      expect.stringMatching(/^vlbr: \/no\/x\.svg can't be written: ENOENT.*\n$/),
    ]);
  });
});
