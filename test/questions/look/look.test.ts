/** What `vlbr look` prints and refuses. test/questions/verify/cli.test.ts runs it built. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { UsageError } from '../../../src/console/errors.js';
import { lookCommand } from '../../../src/questions/look/command.js';
import { look, type LookOptions } from '../../../src/questions/look/look.js';
import { wrongWithPrinted } from '../../rig/schemas.js';

const CASES = fileURLToPath(new URL('../../recording/cases', import.meta.url));

afterEach(() => {
  vi.restoreAllMocks();
});

/** What is printed; the exit code has to be 0. */
async function printedBy(name: string, options: LookOptions = {}): Promise<string> {
  let text = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  expect(await look(join(CASES, name), options)).toBe(0);
  vi.restoreAllMocks();
  return text;
}

describe('vlbr look', () => {
  it('vlbr look prints who is a vCPU and from what, and what is missing', async () => {
    const text = await printedBy('lost-lines.txt');
    expect(text).toMatch(/^VM\/vCPU {2}pid {2}thread +vCPU by +VM by/m);
    expect(text).toMatch(/^0\/1 +102 +CPU 1\/KVM +its name +order of pids \(guess\)/m);
    expect(text).toContain('correct it with --vm NAME=PID,PID');
    expect(text).toContain('4 vCPUs of 2 VMs on 2 pCPUs (0-1)');
    expect(text).toContain('125 vCPU switches, 68 changes');
    expect(text).toMatch(/lost events: 2 reports; 2 gaps in which a vCPU was switched unseen/);
    expect(text).toMatch(/^inferred: \d+ of \d+ steps/m);
    const widest = Math.max(
      ...text
        .split('\n')
        .slice(1)
        .map((line) => line.length),
    );
    expect(widest).toBeLessThanOrEqual(100);
  });

  it('vlbr look --json prints the same as one object, and --vm takes words or a file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vlbr-look-'));
    const file = join(folder, 'vms.json');
    writeFileSync(file, '{"web": [1001], "db": [9002]}');
    for (const vm of [[file], ['web=1001', 'db=9002']]) {
      const text = await printedBy('group-two-vms-look-like-one.txt', { json: true, vm });
      expect(wrongWithPrinted(text)).toEqual([]);
      expect(JSON.parse(text)).toMatchObject({
        schema: 'vlbr/look/2',
        form: 'ftrace',
        vms: 2,
        changes_across_vms: 39,
        losses: 0,
        gaps: 0,
        pcpu_numbers: [0],
        vcpu_threads: [
          { pid: 1001, vm: 'web', index: 0, vcpuFrom: 'given', sure: 'certain', switches: 20 },
          { pid: 9002, vm: 'db', index: 1, vmFrom: 'given', migrations: 0 },
        ],
        // 20 times 10 us of each.
        slices: [0, 0, 40, 0, 0, 0, 0],
      });
    }
    rmSync(folder, { recursive: true });
  });

  it.each<[name: string, options: LookOptions, message: RegExp]>([
    ['none.txt', {}, /none\.txt: there is no such file; check the path$/],
    ['raw-ts.txt', {}, /raw-ts\.txt:2: the time .*without --raw-ts/],
    ['host-and-guest-same-pid.txt', {}, /--machine host\.dat/],
    ['escape-in-name.txt', {}, /\\x1b\[2Jvm/],
    ['good-baseline.txt', { vm: ['x'] }, /--vm x: .*give NAME=PID,PID or a JSON file/],
    ['good-baseline.txt', { vm: [join(CASES, '../cases.test.ts')] }, /--vm .*: .*a JSON file/],
    ['good-baseline.txt', { vm: ['a=1'] }, /no thread has the pid 1, which is given/],
    ['good-baseline.txt', { vcpuThreads: '(' }, /--vcpu-threads.*regular expression/],
  ])('vlbr look refuses %s with %j, and says why', async (name, options, message) => {
    const ended = look(join(CASES, name), options);
    await expect(ended).rejects.toThrow(UsageError);
    await expect(ended).rejects.toThrow(message);
  });

  it('advice that is given works when it is followed', async () => {
    const lost = await printedBy('lost-lines-after-grep.txt', { allowGaps: true });
    expect(lost).toMatch(
      /2 gaps in which [^]*: line 97 on CPU 0, not told; line\s+99 on CPU 1, not/,
    );
    const host = await printedBy('host-and-guest-same-pid.txt', { machine: 'host.dat' });
    expect(host).toContain("machines in it: 'host.dat', 'guest.dat'");
    const qemu = await printedBy('qemu-system-x86-is-vcpu-86.txt', { vm: ['a=1001'] });
    expect(qemu).toMatch(/^a\/0 +1001 +qemu-system-x86 +--vm +--vm \(certain\)/m);
  });

  it('a guest is joined to its VM, and the uncertainty of its clock is told', async () => {
    const at = (name: string): string => join('../../../examples/two-vms-one-cpu', name);
    const file = (name: string): string => join(CASES, at(name));
    const guest = [`0=${file('guest-a.txt.gz')}`];
    const text = await printedBy(at('host.txt.gz'), { guest });
    expect(text.replaceAll(/\s+/g, ' ')).toMatch(
      /host's clock less its clock: 2308\.600\d+ s, \+- \d+(\.\d+)? us, estimated: 1,037 of 1,037/,
    );
    const options = { guest, clockOffset: ['0=2308600000000'], json: true };
    const json = await printedBy(at('host.txt.gz'), options);
    expect(wrongWithPrinted(json)).toEqual([]);
    expect(JSON.parse(json)).toMatchObject({
      guests: [{ vm: '0', clock_from: 'given', clock_offset_ns: 2_308_600_000_000 }],
    });
    const refused = async (more: LookOptions): Promise<unknown> => look(file('host.txt.gz'), more);
    await expect(refused({ guest: ['x=y'] })).rejects.toThrow(/give VM=FILE; the VMs are: 0, 1/);
    await expect(refused({ clockOffset: ['0=5'] })).rejects.toThrow(/no --guest of this VM/);
    await expect(refused({ guest, clockOffset: ['0=x'] })).rejects.toThrow(/number of nanoseconds/);
    await expect(refused({ guest: ['1=/nowhere'] })).rejects.toThrow(/no such file/);
  });

  it.each([
    ['merged,always', '--check takes one policy, and this is 2: always, merged'],
    ['all', '--check takes one policy'],
    ['kvm', 'policy kvm is code of a kernel tree'],
  ])('--check %s is refused before anything is read', async (policy, why) => {
    await expect(look('/nowhere.txt', { check: policy })).rejects.toThrow(why);
  });

  it('a file of VMs without end is refused', async () => {
    const asked = look(join(CASES, 'good-baseline.txt'), { vm: ['/dev/zero'] });
    await expect(asked).rejects.toThrow(/--vm \/dev\/zero: .*longer than 1 MiB/);
  });

  it('vlbr look --help states the limits', () => {
    let help = '';
    const command = lookCommand(() => {});
    command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
    expect(help).toContain('Most vCPUs in a recording: 4,096');
    expect(help).toContain('CPU numbers up to 8,191');
  });
});
