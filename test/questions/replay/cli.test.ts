/** Replay files and tokens: what is written reads back, and broken input is refused. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { POLICIES } from '../../../src/host/policy/index.js';
import { PROPERTY_NAMES } from '../../../src/judge/properties.js';
import { CPU_MODELS } from '../../../src/hw/cpu_models.js';
import { type Action, ACTION_NAMES, ACTIONS } from '../../../src/schedule/table.js';
import { Schedule } from '../../../src/schedule/schedule.js';
import type { ReplayCase } from '../../../src/campaign/replay_file.js';
import {
  BREAKERS,
  breakerOf,
  endsAsExpected,
  parseReplayText,
  ReplayError,
  replayToken,
  scheduleJson,
  tokenOf,
} from '../../../src/campaign/replay_file.js';

const anyAction: fc.Arbitrary<Action> = fc
  .tuple(fc.constantFrom(...ACTION_NAMES), fc.nat(3), fc.tuple(fc.nat(2), fc.nat(2), fc.nat(7)))
  .map(([kind, actor, values]) => ({
    kind,
    actor,
    args: ACTIONS[kind].params.map(({ min, max }, i) => min + (values[i] % (max - min + 1))),
  }));

const anyCase: fc.Arbitrary<ReplayCase> = fc.record({
  config: fc.record({
    policy: fc.constantFrom(...POLICIES),
    model: fc.constantFrom(...CPU_MODELS),
    kernel: fc.constantFrom('6.1' as const, '4.18' as const),
    shape: fc.record({
      vms: fc.integer({ min: 1, max: 6 }),
      vcpus: fc.integer({ min: 1, max: 8 }),
      tasks: fc.integer({ min: 8, max: 16 }),
      pcpus: fc.integer({ min: 1, max: 8 }),
    }),
  }),
  property: fc.constantFrom(...PROPERTY_NAMES),
  schedule: fc.array(anyAction).map((actions) => Schedule.of(actions)),
  whose: fc.constant(null),
});

/** A case in a form that can be compared. Words behind the end of its schedule are left out. */
const plain = ({ config, property, schedule }: ReplayCase): object => ({
  config,
  property,
  actions: schedule.actions(),
});

const EMPTY = {
  schema: 'vlbr/schedule/1',
  policy: 'never',
  property: 'no-leak/vm',
  cpu: 'skylake',
  kernel: '6.1',
  vms: 2,
  vcpus: 1,
  tasks: 2,
  pcpus: 1,
  actions: [],
};

describe('replay tokens and files', () => {
  it('a replay token or file always reads back as what was written', () => {
    fc.assert(
      fc.property(anyCase, (one) => {
        expect(plain(replayToken(tokenOf(one)))).toEqual(plain(one));
        const [again] = parseReplayText(JSON.stringify(scheduleJson(one)));
        expect(plain(again)).toEqual(plain(one));
      }),
    );
  });
  it('a token with a wrong letter is never taken', () => {
    const token = tokenOf(parseReplayText(JSON.stringify(EMPTY))[0]);
    fc.assert(
      fc.property(fc.integer({ min: 3, max: token.length - 2 }), (at) => {
        const other = token[at] === 'A' ? 'B' : 'A';
        const wrong = `${token.slice(0, at)}${other}${token.slice(at + 1)}`;
        expect(() => replayToken(wrong)).toThrow(ReplayError);
      }),
    );
  });
  it('tokens are always found in a report and in text', () => {
    const token = tokenOf(parseReplayText(JSON.stringify(EMPTY))[0]);
    const results = [{ counterexample: null }, { counterexample: { token } }];
    expect(parseReplayText(JSON.stringify({ schema: 'vlbr/verify/2', results })).length).toBe(1);
    expect(parseReplayText(`${token}\n${token}\n`).length).toBe(1);
  });

  const action = (kind: unknown, actor: unknown, args: unknown): object => ({
    actions: [{ kind, actor, args }],
  });
  const broken: readonly (readonly [change: object, message: RegExp])[] = [
    [{ schema: 'vlbr/schedule/2' }, /the schema is "vlbr\/schedule\/2"; it must be/],
    [{ schema: undefined }, /the schema is missing/],
    [{ schema: 'vlbr/verify/2', results: [] }, /no counterexample/],
    [{ policy: 'pv-v9' }, /no policy 'pv-v9'; .* there are: never/],
    [{ policy: 7 }, /"policy" must be a string/],
    [{ property: 'leak' }, /no property 'leak'/],
    [{ cpu: 'i386' }, /no CPU 'i386'/],
    [{ kernel: '5.0' }, /no kernel '5.0'; there are: 6.1, 6.12, 7.3, 4.18/],
    [{ policy: 'mediated' }, /^policy mediated needs a kernel with the mediated PMU: 7.3$/],
    [{ vms: 7 }, /^vms must be between 1 and 6, not 7$/],
    [{ vms: 1.5 }, /whole numbers/],
    [{ pcpus: '1' }, /"pcpus" must be a number/],
    [{ whose: 'me' }, /"whose" must be one of policy, kernel, nobody/],
    [{ actions: {} }, /"actions" must be a list/],
    [{ actions: [null] }, /action 1: this is neither a line such as 'v0: call n=3' nor an object/],
    [action('jump', 0, []), /action 1: there is no kind "jump"; there are: call ret/],
    [action('leave', '0', []), /action 1: "actor" must be a whole number/],
    [action('leave', 64, []), /action 1: actor 64/],
    [action('call', 0, [1]), /action 1: "args" of call must be whole numbers: \[n, kind\]/],
    [action('call', 0, [1.5, 0]), /action 1: "args" of call/],
    [action('call', 0, [2_000_000_000, 0]), /action 1: call: n is 2000000000/],
    [action('open', 0, [0, 2048, 1]), /action 1: open: attr is 2048/],
  ];
  it.each(broken)('a replay file with %j is always refused', (change, message) => {
    const parse = (): unknown => parseReplayText(JSON.stringify({ ...EMPTY, ...change }));
    expect(parse).toThrow(ReplayError);
    expect(parse).toThrow(message);
  });
  it.each([
    ['', /empty/],
    ['{', /no JSON/],
    ['[1]', /no replay token/],
    ['hello', /no replay token/],
  ])('a replay file that is %j is always refused', (text, message) => {
    expect(() => parseReplayText(text)).toThrow(message);
  });
});

describe('endsAsExpected', () => {
  it('endsAsExpected wants a known failure to fail, and nothing else to', () => {
    const [known] = parseReplayText(JSON.stringify(EMPTY));
    const [sound] = parseReplayText(JSON.stringify({ ...EMPTY, policy: 'always' }));
    expect(breakerOf(known)).toBe('nobody');
    expect(endsAsExpected(known, 'nobody')).toBe(false);
    expect(endsAsExpected(known, 'policy')).toBe(true);
    expect(endsAsExpected(sound, 'nobody')).toBe(true);
    expect(endsAsExpected(sound, 'policy')).toBe(false);
    expect(endsAsExpected(sound, 'kernel')).toBe(true);
  });
  it('endsAsExpected wants what the file says, if it says so', () => {
    for (const whose of BREAKERS) {
      const [one] = parseReplayText(JSON.stringify({ ...EMPTY, whose }));
      expect(BREAKERS.filter((breaker) => endsAsExpected(one, breaker))).toEqual([whose]);
    }
  });
});
