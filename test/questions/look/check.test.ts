/** `vlbr look --check`: a recording of what a policy does agrees with it, and with no other. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { UsageError } from '../../../src/console/errors.js';
import { Observer } from '../../../src/host/observer.js';
import { Machine } from '../../../src/machine/machine.js';
import { check, type Check } from '../../../src/questions/look/check.js';
import { look } from '../../../src/questions/look/look.js';
import { parseRecording } from '../../../src/recording/read.js';
import { cpuModel } from '../../rig/cpu.js';
import { DEBUGCTL, FROM, LBR, machineConfig, SELECT, TOS } from '../../rig/machine.js';
import { policyOf } from '../../rig/machine.js';
import { ftraceLine } from '../../rig/recordings.js';
import { wrongWithPrinted } from '../../rig/schemas.js';

const SHAPE = { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };

/** Writes down what a machine does, as a kernel with these events would. */
class Writer extends Observer {
  readonly lines: string[] = [];
  machine: Machine | null = null;
  running = -1;
  private us = 1;

  switchTo(vcpu: number): void {
    const who = (v: number) =>
      (v < 0 ? ['swapper', 0] : [`CPU 0/KVM`, 100 + v]) as [string, number];
    const [[prevComm, prevPid], [nextComm, nextPid]] = [who(this.running), who(vcpu)];
    const names = { prevComm, prevPid, nextComm, nextPid };
    this.lines.push(ftraceLine({ cpu: 0, time: 5e9 + this.us++ * 1000, ...names }));
    this.running = vcpu;
    this.machine?.switchTo(0, vcpu);
  }

  private event(text: string): void {
    const time = `5.${String(this.us++).padStart(6, '0')}`;
    this.lines.push(`  CPU 0/KVM-${100 + this.running} [000] d..1. ${time}: ${text}`);
  }

  private exit(msr: number, write: boolean, value: number, fault: boolean): void {
    if (this.machine?.kvm.intercepted !== true) return;
    const text = `msr_${write ? 'write' : 'read'} ${msr.toString(16)} = 0x${value.toString(16)}`;
    this.event(`kvm_msr: ${text}${fault ? ' (#GP)' : ''}`);
  }

  override guestRead(_vcpu: number, msr: number, eax: number): void {
    this.exit(msr, false, eax, false);
  }

  override guestWrite(_vcpu: number, msr: number, eax: number): void {
    this.exit(msr, true, eax, false);
  }

  override guestFault(_vcpu: number, msr: number, write: boolean, eax: number): void {
    this.exit(msr, write, write ? eax : 0, true);
  }

  override hostAccess(_pcpu: number, _onBehalf: number, msr: number, write: boolean): void {
    this.event(`${write ? 'write' : 'read'}_msr: ${msr.toString(16)}, value 0`);
  }

  override hostStack(_pcpu: number, _who: number, accesses: number, write: boolean): void {
    for (let i = 0; i < accesses; i++) this.hostAccess(0, 0, i === 0 ? TOS : FROM, write);
  }
}

/** Two guests that use LBR by hand, on one pCPU, under a policy. */
function recorded(policy: string): string {
  const writer = new Writer();
  const machine = new Machine(machineConfig({ shape: SHAPE, policy: policyOf(policy) }), writer);
  machine.boot();
  machine.switchTo(0, -1);
  writer.lines.length = 0;
  writer.machine = machine;
  for (const vcpu of [0, 1, 0, 1, -1, 0]) {
    writer.switchTo(vcpu);
    if (vcpu < 0) continue;
    machine.rdmsr(vcpu, SELECT);
    machine.wrmsr(vcpu, DEBUGCTL, LBR, 0);
    machine.branches(vcpu, 0, 3);
    machine.rdmsr(vcpu, FROM);
    machine.rdmsr(vcpu, DEBUGCTL);
    machine.wrmsr(vcpu, DEBUGCTL, 1 << 30, 0);
  }
  writer.switchTo(-1);
  return writer.lines.join('\n');
}

function checked(text: string, policy: string): Check {
  const recording = parseRecording(text, 'host.txt');
  return check(recording, policyOf(policy), cpuModel('haswell'), '6.1');
}

const POLICIES = ['always', 'merged', 'parked', 'lazy-sound', 'v6'];

describe('vlbr look --check', () => {
  it.each(POLICIES)('what %s has done agrees with it, and not with never', (policy) => {
    const text = recorded(policy);
    const own = checked(text, policy);
    expect(own.disagreements).toEqual([]);
    expect(own.count).toBe(0);
    expect(own.guestAccesses).toBeGreaterThan(10);
    expect(own.hostAccesses).toBeGreaterThan(0);
    expect(own.intervals).toBe(6);
    const { count, disagreements } = checked(text, 'never');
    expect(count).toBeGreaterThan(3);
    const lines = text.split('\n');
    for (const { line, says } of disagreements) {
      const event = says.startsWith('after this switch') ? /sched_switch/ : /kvm_msr/;
      expect(lines[line - 1]).toMatch(event);
      expect(says).toContain('under never');
    }
  });

  it('JSON has each disagreement, and the exit code says that there are some', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vlbr-look-'));
    const file = join(folder, 'host.txt');
    writeFileSync(file, recorded('merged'));
    const print = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    const code = await look(file, { check: 'never', cpu: 'haswell', json: true });
    const text = print.mock.calls.join('');
    print.mockRestore();
    rmSync(folder, { recursive: true });
    expect([code, wrongWithPrinted(text)]).toEqual([1, []]);
    const { policy, count, disagreements } = checked(recorded('merged'), 'never');
    expect(JSON.parse(text)).toMatchObject({
      guests: [],
      check: { policy, cpu: 'haswell', count, disagreements },
    });
  });

  it('a recording tells policies apart that intercept at different times', () => {
    const disagree = (of: string, other: string): boolean => checked(recorded(of), other).count > 0;
    expect(disagree('always', 'merged')).toBe(true);
    expect(disagree('merged', 'parked')).toBe(true);
    expect(disagree('parked', 'always')).toBe(true);
  });

  it.each([
    [/msr_read 1d9 = 0x1/, 'msr_read 1d9 = 0x0', /reads DEBUGCTL as 0x0; under merged as 0x1/],
    [/msr_write 1d9 = 0x1$/m, 'msr_write 1d9 = 0x1 (#GP)', /DEBUGCTL with #GP; .* with no #GP/],
    [/.*write_msr: 680.*\n/, '', /reads \d+ LBR MSRs and writes \d+; under merged it reads/],
  ])('a changed access is found: %s', (event, changed, says) => {
    const text = recorded('merged');
    const { count, disagreements } = checked(text.replace(event, changed), 'merged');
    expect(count).toBe(1);
    expect(disagreements[0].says).toMatch(says);
  });

  it('a recording without such accesses is refused, with the events that are missing', () => {
    const text = recorded('merged').replaceAll(/.*_msr: .*\n?/g, '');
    expect(() => checked(text, 'merged')).toThrow(UsageError);
    expect(() => checked(text, 'merged')).toThrow(/record the events kvm:kvm_msr, msr:write_msr/);
  });
});
