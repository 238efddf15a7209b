/** A name or line of a recording that merely resembles a known form is never taken for it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseFtrace, type SchedSwitch } from '../../src/schedule/ftrace.js';
import { hostSchedule, type VcpuThread } from '../../src/schedule/host_schedule.js';
import { seeded } from '../rig/seed.js';

/** A sched_switch line as the kernel writes it. */
function line(cpu: number, payload: string): string {
  return `  x-7 [00${cpu}] d..2. 5.000000: ${payload}`;
}

const FIELDS = 'prev_comm=a prev_pid=1 prev_prio=120 prev_state=S ==> next_comm=b next_pid=2';
const SWITCH = `sched_switch: ${FIELDS} next_prio=120`;

const parse = (...lines: readonly string[]): SchedSwitch[] => parseFtrace(lines.join('\n'), 'file');

/** The vCPU that a thread of this name is taken for. */
function vcpuOf(comm: string): VcpuThread {
  const next = { next_comm: comm, next_pid: 9, after_lost: false };
  const event = { line: 1, cpu: 0, time_ns: 1n, prev_comm: 'idle', prev_pid: 0, ...next };
  return hostSchedule([event], /./, 'file').vcpus[0];
}

describe("a thread's name", () => {
  it('a thread is a vCPU of Xen if its name is d<domain>v<vcpu> and nothing else', () => {
    const number = fc.nat(99_999);
    const around = fc.constantFrom('', ' ', 'x', '-', 'd', '7', '/KVM');
    fc.assert(
      fc.property(number, number, around, around, (domain, vcpu, before, after) => {
        fc.pre(before !== '7' && after !== '7');
        const { vm, index, vm_from } = vcpuOf(`${before}d${domain}v${vcpu}${after}`);
        // In any other name the last number is the vCPU's, and there is one VM.
        const xen = before === '' && after === '';
        expect([vm, index]).toEqual([xen ? domain : 0, vcpu]);
        expect(vm_from === 'name').toBe(xen || vcpu === 0);
      }),
      seeded(200),
    );
  });

  it.each([
    ['CPU 3/KVM', 3],
    ['vm2 CPU 3/KVM', 3],
    ['fc_vcpu 12', 12],
    ['vcpu12-of-4', 4],
  ])('the last number in the name of a thread is the index of its vCPU: %s', (comm, index) => {
    expect(vcpuOf(comm).index).toBe(index);
  });
});

describe('a line of a recording', () => {
  it.each([
    ['a comment that counts CPUs', '# cpus=1'],
    ['a count with something behind it', 'cpus=1 of 4'],
  ])('a line never counts CPUs if it is %s', (_, text) => {
    expect(parse(text, line(3, SWITCH)).map(({ cpu }) => cpu)).toEqual([3]);
  });

  it.each([
    ['a message that quotes what the kernel says', line(0, 'print: CPU:0 [LOST 3 EVENTS]')],
    ['a message that quotes what perf says', line(0, 'print: saw PERF_RECORD_LOST')],
    ['about samples, which are no events', 'PERF_RECORD_LOST_SAMPLES lost 3'],
  ])('a line never tells of lost events if it is %s', (_, text) => {
    const [, after] = parse(line(0, SWITCH), text, line(0, SWITCH));
    expect(after.after_lost).toBe(false);
  });

  it.each([
    ['CPU:0 [LOST 3 EVENTS]'],
    ['   CPU:0 [EVENTS DROPPED]'],
    ['PERF_RECORD_LOST lost 3'],
    [line(0, 'PERF_RECORD_LOST lost 3')],
  ])('a line always tells of lost events if it is: %s', (text) => {
    const [, after] = parse(line(0, SWITCH), text, line(0, SWITCH));
    expect(after.after_lost).toBe(true);
  });

  it.each([
    ['a pid that is part of a name', SWITCH.replace(/^/, 'x7 [000] d..2. 5.000000: ')],
    [
      'a name of more than 15 characters',
      line(0, `sched_switch: ${'n'.repeat(16)}:1 [1] S ==> b:2 [1]`),
    ],
    ['something behind the payload', line(0, 'sched_switch: a:1 [120] S ==> b:2 [120] and more')],
  ])('a line never is a switch with %s', (_, text) => {
    expect(() => parse(text)).toThrow(/cut off or of an unknown form/);
  });

  it('a line never is a switch if it only speaks of one', () => {
    expect(parse('the sched_switch events follow', line(0, SWITCH))).toHaveLength(1);
  });
});
