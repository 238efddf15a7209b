/**
 * Prints a synthetic recording of a quiet host: two VMs of two vCPUs, each alone on its pCPU. A
 * vCPU sleeps, and its guest wakes up for a timer or a packet. No vCPU finds another one's records.
 * The same in every run: npx tsx scripts/quiet_host.ts | gzip -9n > examples/quiet-host/host.txt.gz
 */
import { type Draw, drawOf } from '../src/schedule/draw.js';

const SECONDS = 4;
const VCPUS = [
  { pid: 1001, comm: 'CPU 0/KVM' },
  { pid: 1002, comm: 'CPU 1/KVM' },
  { pid: 2001, comm: 'CPU 0/KVM' },
  { pid: 2002, comm: 'CPU 1/KVM' },
] as const;

/** Microseconds of a sleep and of the work after it: 200 to 300 of both in a second. */
const SLEEP = [2500, 4500] as const;
const WORK = [50, 900] as const;

function between(draw: Draw, [low, high]: readonly [number, number]): number {
  return low + draw.below(high - low);
}

interface Line {
  readonly us: number;
  readonly text: string;
}

function linesOf(cpu: number): Line[] {
  const { pid, comm } = VCPUS[cpu];
  const draw = drawOf(2026, cpu);
  const lines: Line[] = [];
  const idle = `prev_comm=swapper/${cpu} prev_pid=0 prev_prio=120 prev_state=R`;
  const push = (us: number, task: string, fields: string): void => {
    const time = `${100 + Math.trunc(us / 1e6)}.${String(us % 1e6).padStart(6, '0')}`;
    const head = `${task.padStart(16)} [${String(cpu).padStart(3, '0')}] d..2.   ${time}`;
    lines.push({ us, text: `${head}: sched_switch: ${fields}` });
  };
  for (let us = between(draw, SLEEP); us < SECONDS * 1e6; us += between(draw, SLEEP)) {
    push(us, `<idle>-0`, `${idle} ==> next_comm=${comm} next_pid=${pid} next_prio=120`);
    us += between(draw, WORK);
    const vcpu = `prev_comm=${comm} prev_pid=${pid} prev_prio=120 prev_state=S`;
    push(us, `${comm}-${pid}`, `${vcpu} ==> next_comm=swapper/${cpu} next_pid=0 next_prio=120`);
  }
  return lines;
}

console.log('# tracer: nop\n#');
const all = VCPUS.flatMap((_, cpu) => linesOf(cpu)).sort((a, b) => a.us - b.us);
for (const { text } of all) console.log(text);
