/**
 * How fast a recording is read, and how much memory that takes: a text of 1 GB of a host with 64
 * pCPUs and 16 VMs of 4 vCPUs. The text is written to a temporary file, which is removed.
 *
 *   npx tsx bench/read_recording.ts [--megabytes N] [--switches-only]
 *
 * Bounds: at least 50 MB/s, and at most 300 MB of memory, that of Node included.
 */
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readRecording } from '../src/recording/read.js';
import { summarize } from '../src/recording/recording.js';

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '1000' },
    'switches-only': { type: 'boolean', default: false },
  },
});
const BYTES = Number(values.megabytes) * 1e6;
const PCPUS = 64;
const VMS = 16;
const VCPUS = 4;
const CHUNK = 1 << 20;

/** Numbers that are the same in every run. */
let seed = 1;
function below(n: number): number {
  seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
  return (seed >>> 8) % n;
}

interface Thread {
  readonly comm: string;
  readonly pid: number;
}

const IDLE: Thread = { comm: 'swapper', pid: 0 };
const THREADS: readonly Thread[] = Array.from({ length: VMS * VCPUS }, (_, i) => ({
  comm: `CPU ${i % VCPUS}/KVM`,
  pid: 10_000 + 100 * Math.trunc(i / VCPUS) + (i % VCPUS),
}));
const REASONS: readonly string[] = ['HLT', 'MSR_WRITE', 'EPT_VIOLATION', 'EXTERNAL_INTERRUPT'];

const running: (Thread | null)[] = Array.from({ length: PCPUS }, () => null);
const free: Thread[] = [...THREADS];
let micros = 0;

function head({ comm, pid }: Thread, cpu: number): string {
  const time = `${1000 + Math.trunc(micros / 1e6)}.${String(micros % 1e6).padStart(6, '0')}`;
  const task = `${pid === 0 ? '<idle>' : comm}-${pid}`;
  return `${task.padStart(22)} [${String(cpu).padStart(3, '0')}] d..2. ${time}: `;
}

/** A few events of one CPU: a switch, and what a guest does after it. */
function eventsOf(cpu: number): string {
  micros += 1 + below(3);
  const prev = running[cpu] ?? IDLE;
  const [next = IDLE] = running[cpu] === null ? free.splice(below(free.length), 1) : [];
  if (running[cpu] !== null) free.push(running[cpu]);
  running[cpu] = next.pid === 0 ? null : next;
  const fields = (which: string, { comm, pid }: Thread): string =>
    `${which}_comm=${comm} ${which}_pid=${pid} ${which}_prio=120`;
  const state = below(2) === 0 ? 'S' : 'R';
  const threads = `${fields('prev', prev)} prev_state=${state} ==> ${fields('next', next)}`;
  const text = `${head(prev, cpu)}sched_switch: ${threads}\n`;
  if (next.pid === 0 || values['switches-only']) return text;
  const exits = Array.from({ length: below(4) }, () => {
    micros += 1 + below(2);
    const why = `reason ${REASONS[below(4)]} rip 0xffffffff81c01f58 info1 0x0 info2 0x0`;
    return (
      `${head(next, cpu)}kvm_entry: vcpu ${next.pid % 100}, rip 0xffffffff81c01f58\n` +
      `${head(next, cpu)}kvm_exit: vcpu ${next.pid % 100} ${why} intr_info 0x0 error_code 0x0\n`
    );
  });
  const wakeup = `${head(next, cpu)}sched_wakeup: comm=sh pid=77 prio=120 target_cpu=003\n`;
  return text + exits.join('') + wakeup;
}

function write(path: string): number {
  const file = openSync(path, 'w');
  let bytes = 0;
  while (bytes < BYTES) {
    let text = '';
    while (text.length < CHUNK) text += eventsOf(below(PCPUS));
    bytes += writeSync(file, text);
  }
  closeSync(file);
  return bytes;
}

const folder = mkdtempSync(join(tmpdir(), 'vlbr-bench-'));
try {
  const path = join(folder, 'host.txt');
  const bytes = write(path);
  const before = process.resourceUsage().maxRSS / 1024;
  const began = performance.now();
  const recording = await readRecording(path);
  const seconds = (performance.now() - began) / 1000;
  const peak = process.resourceUsage().maxRSS / 1024;
  const { vcpus, vms, pcpus, vcpu_switches } = summarize(recording);
  const rate = bytes / 1e6 / seconds;
  console.log(
    `${(bytes / 1e6).toFixed(0)} MB, ${recording.lines} lines in ${seconds.toFixed(1)} s`,
  );
  console.log(`${vcpus} vCPUs of ${vms} VMs on ${pcpus} pCPUs, ${vcpu_switches} vCPU switches`);
  console.log(`${recording.kvmEvents().length} exits and entries`);
  console.log(`speed: ${rate.toFixed(0)} MB/s (at least 50)`);
  console.log(
    `memory: ${peak.toFixed(0)} MB at most (at most 300); ${before.toFixed(0)} MB before`,
  );
  if (rate < 50 || peak > 300) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}
