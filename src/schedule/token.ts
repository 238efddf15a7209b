/**
 * A replay token: one word of text that holds a machine, a property and a schedule. It is
 * `v1.` and base64url of a line of text, a NUL, the actions as variable-length integers, and a
 * check sum, so that a mistyped token is refused rather than replayed as something else.
 */
import { Buffer } from 'node:buffer';
import { type Action, KINDS } from './table.js';
import type { MachineConfig, Shape } from '../machine/config.js';
import { ACTION_WORDS, Schedule } from './schedule.js';

/** What a token says, as plain data: policy, property, CPU and kernel are names. */
export interface Replay {
  readonly policy: string;
  readonly property: string;
  readonly cpu: string;
  readonly kernel: string;
  readonly shape: Shape;
  readonly actions: readonly Action[];
}

/** A schedule on a machine, as it crosses to another thread; the machine's driver is left out. */
export function replayOf(config: MachineConfig, property: string, schedule: Schedule): Replay {
  const { policy, model, kernel, shape } = config;
  const names = { policy: policy.name, property, cpu: model.name, kernel };
  return { ...names, shape, actions: schedule.actions() };
}

/** What each token of this version begins with. */
export const TOKEN_PREFIX = 'v1.';

/** Fowler-Noll-Vo 1a, 32 bits. */
function checksum(bytes: Uint8Array): number {
  let h = 0x811c9dc5;
  for (const b of bytes) h = Math.imul(h ^ b, 0x01000193);
  return h >>> 0;
}

/** Zigzag and base 128, low digits first. */
function putInt(bytes: number[], value: number): void {
  let v = ((value << 1) ^ (value >> 31)) >>> 0;
  while (v >= 0x80) {
    bytes.push((v & 0x7f) | 0x80);
    v >>>= 7;
  }
  bytes.push(v);
}

class Reader {
  private at = 0;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get done(): boolean {
    return this.at >= this.bytes.length;
  }

  int(): number {
    let v = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const b = this.bytes[this.at++];
      if (b === undefined) throw new RangeError('truncated');
      v |= (b & 0x7f) << shift;
      if (b < 0x80) return (v >>> 1) ^ -(v & 1);
    }
    throw new RangeError('overlong');
  }
}

/**
 * Packs a schedule into a token.
 *
 * @example
 * import { decodeToken, encodeToken, parseAction } from 'vlbr';
 *
 * const shape = { vms: 1, vcpus: 1, tasks: 1, pcpus: 1 };
 * const of = { policy: 'never', property: 'no-fault', cpu: 'skylake', kernel: '6.1' };
 * const token = encodeToken({ ...of, shape, actions: [parseAction('v0: call n=3')] });
 * token.slice(0, 3); // 'v1.'
 * decodeToken(token).policy; // 'never'
 */
export function encodeToken(replay: Replay): string {
  const { policy, property, cpu, kernel, shape } = replay;
  const schedule = Schedule.of(replay.actions);
  const { vms, vcpus, tasks, pcpus } = shape;
  const head = [policy, property, cpu, kernel, vms, vcpus, tasks, pcpus].join(' ');
  const bytes = [...Buffer.from(head, 'utf8'), 0];
  for (let i = 0; i < schedule.length; i++) {
    const at = i * ACTION_WORDS;
    const { code, params } = KINDS[schedule.words[at]];
    putInt(bytes, code);
    for (let j = 1; j < 2 + params.length; j++) putInt(bytes, schedule.words[at + j]);
  }
  const body = Uint8Array.from(bytes);
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(checksum(body));
  return TOKEN_PREFIX + Buffer.concat([body, sum]).toString('base64url');
}

function decodeActions(bytes: Uint8Array): Schedule {
  const reader = new Reader(bytes);
  const schedule = new Schedule();
  while (!reader.done) {
    const code = reader.int();
    const kind = KINDS.findIndex((action) => action.code === code);
    if (kind < 0) throw new RangeError('unknown action');
    const actor = reader.int();
    const args = KINDS[kind].params.map(() => reader.int());
    schedule.push(kind, actor, args[0] ?? 0, args[1] ?? 0, args[2] ?? 0);
  }
  return schedule;
}

/** Returns what the token says, or null if it is no token of this version. */
export function decodeToken(token: string): Replay | null {
  if (!token.startsWith(TOKEN_PREFIX)) return null;
  const all = Buffer.from(token.slice(TOKEN_PREFIX.length), 'base64url');
  if (all.length < 6) return null;
  const body = all.subarray(0, -4);
  if (checksum(body) !== all.readUInt32LE(all.length - 4)) return null;
  const nul = body.indexOf(0);
  if (nul < 0) return null;
  const [policy = '', property = '', cpu = '', kernel = '', ...numbers] = body
    .subarray(0, nul)
    .toString('utf8')
    .split(' ');
  const [vms = 0, vcpus = 0, tasks = 0, pcpus = 0] = numbers.map(Number);
  const actions = decodeActions(body.subarray(nul + 1)).actions();
  return { policy, property, cpu, kernel, shape: { vms, vcpus, tasks, pcpus }, actions };
}
