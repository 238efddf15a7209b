/** Replay tokens: encoding is reversible, and a mistyped token is never decoded as another one. */
import { actionText } from '../../src/schedule/action_text.js';
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ACTION_NAMES, KIND } from '../../src/schedule/table.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { decodeToken, encodeToken, type Replay } from '../../src/schedule/token.js';
import { anyAction } from '../rig/actions.js';
import { seeded } from '../rig/seed.js';

const name = fc.constantFrom('pv-v2', 'no-loss/any', 'skylake', '6.1', 'a', '');

const replay: fc.Arbitrary<Replay> = fc.record({
  policy: name,
  property: name,
  cpu: name,
  kernel: name,
  shape: fc.record({ vms: fc.nat(9), vcpus: fc.nat(9), tasks: fc.nat(20), pcpus: fc.nat(9) }),
  actions: fc.array(anyAction(63), { maxLength: 40, size: 'max' }),
});

/** A replay for comparison, each word with its sign. */
function plain(r: Replay | null): unknown {
  return r === null ? null : { ...r, actions: Schedule.of(r.actions).actions() };
}

/** The content of a token; null for a refused token, whichever way it is refused. */
function decoded(token: string): unknown {
  try {
    return plain(decodeToken(token));
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** A token of these bytes, with the check sum computed by its definition (FNV-1a). */
function tokenOf(bytes: readonly number[]): string {
  let h = 2166136261n;
  for (const b of bytes) h = ((h ^ BigInt(b)) * 16777619n) % 2n ** 32n;
  const sum = [0n, 8n, 16n, 24n].map((shift) => Number((h >> shift) & 255n));
  return `v1.${Buffer.from([...bytes, ...sum]).toString('base64url')}`;
}

const HEAD = [...Buffer.from('never no-leak/vm skylake 6.1 2 1 2 1'), 0];

describe('encodeToken', () => {
  it('decodeToken always undoes encodeToken', () => {
    fc.assert(
      fc.property(replay, (r) => {
        expect(plain(decodeToken(encodeToken(r)))).toEqual(plain(r));
      }),
      seeded(300),
    );
  });

  it('a token is always one word that a shell takes as it is', () => {
    fc.assert(
      fc.property(replay, (r) => {
        expect(encodeToken(r)).toMatch(/^v1\.[A-Za-z0-9_-]+$/);
      }),
      seeded(100),
    );
  });

  it('tokens always keep to the format of version 1, so that they outlive this version', () => {
    const actions = [
      { kind: 'wrmsr', actor: 1, args: [0x100, -1, 3] },
      { kind: 'run', actor: 0, args: [1, 70] },
      { kind: 'leave', actor: 0, args: [] },
    ] as const;
    const shape = { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };
    const names = { policy: 'never', property: 'no-leak/vm', cpu: 'skylake', kernel: '6.1' };
    // Zigzag, base 128, low digits first: 15 is 30, 256 is 512, -1 is 1, 70 is 140.
    const wrmsr = [30, 2, 0x80, 4, 1, 6];
    const run = [40, 0, 2, 0x8c, 1];
    const token = tokenOf([...HEAD, ...wrmsr, ...run, 10, 0]);
    expect(encodeToken({ ...names, shape, actions })).toBe(token);
  });
});

/** A token of an older version, with one action of each kind, which must still decode. */
const KEPT =
  'v1.bmV2ZXIgbm8tbGVhay92bSBza3lsYWtlIDYuMSAyIDEgMiAxAAAAAgICAgIEBAICBgACCAIACgQMAAAOAgA' +
  'QBBIAAQIEFAIAFgQAGAAAGgIAAhwEAB4AAAIEIAIiBCQAJgIoBAACKgAALAIuBAACMAACMgI0BNQSpks';

const KEPT_SAYS: readonly string[] = [
  'v0: call kind=indirect',
  'v1: ret',
  'v2: jmp kind=indirect',
  'v0: jcc',
  'v1: enter',
  'v2: leave',
  'v0: taskSwitch task=0',
  'v1: migrateTask task=0',
  'v2: fork',
  'v0: open task=-1 attr=pinned type=KERNEL',
  'v1: enable event=0',
  'v2: disable event=0',
  'v0: close event=0',
  'v1: pmi event=0 after=1',
  'v2: rdmsr msr=0x0',
  'v0: wrmsr msr=0x0 eax=0x1 edx=0x2',
  'v1: halt',
  'v2: kexec',
  'v0: boot',
  'v1: resume',
  'p2: run vcpu=0 after=1',
  'p0: idle',
  'p1: exit',
  'p2: hostEvent which=pinned op=off',
  'p0: hostWork',
  'p1: cstate',
  'v2: liveMigrate',
];

describe('decodeToken', () => {
  it('decodeToken reads an old token, whatever actions have been added since', () => {
    expect(decodeToken(KEPT)?.actions.map(actionText)).toEqual(KEPT_SAYS);
  });

  it('a token with one wrong character is never taken for another one', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ !';
    fc.assert(
      fc.property(replay, fc.nat(), (r, salt) => {
        const token = encodeToken(r);
        const right = plain(r);
        for (let i = 0; i < token.length; i++) {
          const wrong = alphabet[(i * 31 + salt) % alphabet.length];
          if (wrong === token[i]) continue;
          const now = decoded(token.slice(0, i) + wrong + token.slice(i + 1));
          // Some bits of the last character have no meaning. `+/` are other spellings of `-_`.
          const same = i === token.length - 1 || '+/'.includes(wrong);
          if (now !== null && same) expect(now).toEqual(right);
          else expect(now).toBe(null);
        }
      }),
      seeded(60),
    );
  });

  it('a part of a token, or one with two characters swapped, is never taken', () => {
    const actions = [{ kind: 'call', actor: 0, args: [7, 1] }] as const;
    const shape = { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };
    const names = { policy: 'never', property: 'no-leak/vm', cpu: 'skylake', kernel: '6.1' };
    const token = encodeToken({ ...names, shape, actions });
    expect(decoded(token)).not.toBe(null);
    for (let i = 0; i < token.length; i++) {
      expect(decoded(token.slice(0, i))).toBe(null);
      if (i > 0) expect(decoded(token.slice(i))).toBe(null);
      const [a = '', b = ''] = [token[i], token[i + 1]];
      if (a === b || b === '') continue;
      expect(decoded(token.slice(0, i) + b + a + token.slice(i + 2))).toBe(null);
    }
  });

  it('a right check sum with wrong content is never taken', () => {
    const with_ = (...bytes: number[]): string => tokenOf([...HEAD, ...bytes]);
    expect(decoded(with_())).toMatchObject({ policy: 'never', shape: { pcpus: 1 }, actions: [] });
    expect(decoded(with_(2 * KIND.ret, 0, 4))).toMatchObject({
      actions: [{ kind: 'ret', actor: 0, args: [2] }],
    });
    expect(() => decodeToken(with_(2 * ACTION_NAMES.length, 0))).toThrow('unknown action');
    expect(() => decodeToken(with_(1, 0))).toThrow('unknown action');
    expect(() => decodeToken(with_(2 * KIND.ret, 0))).toThrow('truncated');
    expect(() => decodeToken(with_(2 * KIND.ret, 0, 0x84))).toThrow('truncated');
    expect(() => decodeToken(with_(0x80, 0x80, 0x80, 0x80, 0x80, 0))).toThrow('overlong');
    expect(decodeToken(tokenOf(HEAD.slice(0, -1)))).toBe(null);
  });

  it('missing fields of the head of a token are always empty', () => {
    const head = [...Buffer.from('never'), 0];
    expect(decoded(tokenOf(head))).toEqual({
      policy: 'never',
      property: '',
      cpu: '',
      kernel: '',
      shape: { vms: 0, vcpus: 0, tasks: 0, pcpus: 0 },
      actions: [],
    });
  });

  it('a word that is no token of this version is never taken', () => {
    const token = tokenOf(HEAD);
    for (const text of ['', 'v1', 'v1.', 'v1.AAAA', token.slice(3), `v2${token.slice(2)}`]) {
      expect(decodeToken(text)).toBe(null);
    }
    // A NUL with its check sum makes five bytes, the shortest possible token.
    expect(decodeToken(tokenOf([0]))).toBe(null);
    expect(decodeToken(tokenOf([65, 0]))).not.toBe(null);
  });
});
