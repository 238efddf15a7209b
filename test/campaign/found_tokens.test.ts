/** Tokens are found whatever a mail program has done to them, and damaged ones are reported. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tokensIn } from '../../src/campaign/found_tokens.js';
import { parseReplayText, ReplayError } from '../../src/campaign/replay_file.js';
import { encodeToken, type Replay } from '../../src/schedule/token.js';

/** A schedule of some length, so that its token is broken over several lines. */
function replayOf(calls: number): Replay {
  return {
    policy: 'never',
    property: 'no-leak/vm',
    cpu: 'skylake',
    kernel: '6.1',
    shape: { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 },
    actions: Array.from({ length: calls }, (_, i) => ({
      kind: 'call' as const,
      actor: 0,
      args: [1 + (i % 5), 0],
    })),
  };
}

const ONE = replayOf(40);
const TOKEN = encodeToken(ONE);

/** Cut after every `width` characters. */
function cut(text: string, width: number): string[] {
  return text.match(new RegExp(`.{1,${width}}`, 'g')) ?? [];
}

describe('tokens in a text', () => {
  const mangled: readonly (readonly [how: string, text: string])[] = [
    ['alone', TOKEN],
    ['in a sentence', `run vlbr replay ${TOKEN} again`],
    ['in JSON', JSON.stringify({ token: TOKEN, other: 1 })],
    ['over lines', cut(TOKEN, 60).join('\n')],
    ['over indented lines of CRLF', cut(TOKEN, 33).join('\r\n    ')],
    [
      'quoted twice',
      cut(TOKEN, 50)
        .map((line) => `> > ${line}`)
        .join('\n'),
    ],
    [
      'quoted without a space',
      cut(TOKEN, 50)
        .map((line) => `>>${line}`)
        .join('\n'),
    ],
    [
      'quoted and wrapped once more',
      cut(TOKEN, 50)
        .map((line) => `> ${line.slice(0, 40)}\n${line.slice(40)}`)
        .join('\n'),
    ],
    ['with soft breaks', cut(TOKEN, 70).join('=\n')],
    ['with encoded spaces', cut(TOKEN, 70).join('=20\n')],
    ['before a signature', `${cut(TOKEN, 60).join('\n')}\n-- \nsomebody\nelse`],
  ];
  it.each(mangled)('a token is found %s', (_how, text) => {
    expect(tokensIn(text)).toEqual({ replays: [ONE], damaged: [] });
  });

  it('several tokens are found in their order, and each once', () => {
    const other = replayOf(3);
    const text = `${encodeToken(other)}\n> ${TOKEN}\n${encodeToken(other)}`;
    expect(tokensIn(text).replays).toEqual([other, ONE]);
  });

  it('a token is found for any width, with any marks before its lines', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 4, max: 90 }),
        fc.constantFrom('', '> ', '>> ', '| ', '  '),
        fc.constantFrom('\n', '=\n', '=20\n', ' \r\n'),
        (width, mark, end) => {
          const text = cut(TOKEN, width)
            .map((line) => mark + line)
            .join(end);
          expect(tokensIn(text).replays).toEqual([ONE]);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('a damaged token is never taken for another one, and has an error', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: TOKEN.length - 2 }),
        fc.constantFrom('drop', 'swap', 'cut', 'twice'),
        (at, how) => {
          const end = TOKEN.slice(at);
          const start = TOKEN.slice(0, at);
          const text = {
            drop: start + end.slice(1),
            swap: start + (end.startsWith('A') ? 'B' : 'A') + end.slice(1),
            cut: start,
            twice: start + end[0] + end,
          }[how];
          const { replays, damaged } = tokensIn(text);
          expect(replays).toEqual([]);
          expect(damaged.length).toBe(1);
          expect(() => parseReplayText(text)).toThrow(ReplayError);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('the error of a damaged token says which it is', () => {
    expect(() => parseReplayText(`${TOKEN.slice(0, -1)} and ${TOKEN}`)).toThrow(
      `${TOKEN.slice(0, 20)}...: this is no replay token of this version of vlbr`,
    );
    expect(() => parseReplayText('v1.AA')).toThrow('v1.AA: this is no replay token');
  });

  it('a version number in a word is no token', () => {
    expect(tokensIn('patch-v1.2 and x.v1.AAAA')).toEqual({ replays: [], damaged: [] });
  });
});

describe('what vlbr replay reads', () => {
  const file = {
    schema: 'vlbr/schedule/1',
    policy: 'never',
    property: 'no-leak/vm',
    cpu: 'skylake',
    kernel: '6.1',
    vms: 2,
    vcpus: 1,
    tasks: 2,
    pcpus: 1,
    actions: ['v0: call'],
  };
  const count = (text: string): number => parseReplayText(text).length;

  it('several replay files in one are read: a list, or one a line', () => {
    expect(count(JSON.stringify([file, file]))).toBe(2);
    expect(count(`${JSON.stringify(file)}\n${JSON.stringify(file)}\n`)).toBe(2);
  });
  it('the report of any command is read, wherever its tokens are', () => {
    for (const command of ['verify', 'explore', 'review', 'conform-whole', 'corpus']) {
      const report = { schema: `vlbr/${command}/1`, deep: [{ down: { token: TOKEN } }] };
      expect(count(JSON.stringify(report, null, 2))).toBe(1);
    }
    expect(() => parseReplayText('{"schema": "other/1", "a": 1}')).toThrow(/the schema is "other/);
    expect(() => parseReplayText('{"schema": "vlbr/list/2"}')).toThrow('has no counterexample');
  });
  it('a mail that begins like a list is read', () => {
    expect(count(`[PATCH 1/2] KVM\n\n> ${TOKEN}\n`)).toBe(1);
  });
});
