/** Parsing of command-line arguments. */
import fc from 'fast-check';
import { Command, InvalidArgumentError } from 'commander';
import { describe, expect, it } from 'vitest';
import {
  addWidthOption,
  collect,
  entryOf,
  namesOf,
  wholeNumber,
} from '../../src/console/arguments.js';
import { UsageError } from '../../src/console/errors.js';
import { textWidth, WIDTH } from '../../src/console/text.js';
import { inColumns } from '../rig/widths.js';

const NAMES = ['no-loss/callstack', 'no-loss/any', 'no-leak/vm', 'balanced'] as const;

describe('namesOf', () => {
  it('namesOf gives names in the order of the table, each once', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...NAMES), { minLength: 1 }), (wanted) => {
        const expected = NAMES.filter((name) => wanted.includes(name));
        expect(namesOf('property', wanted.join(','), NAMES)).toEqual(expected);
      }),
    );
  });
  it('namesOf accepts `all`, and a group before a slash', () => {
    expect(namesOf('property', 'all', NAMES)).toEqual(NAMES);
    expect(namesOf('property', 'no-loss', NAMES)).toEqual(['no-loss/callstack', 'no-loss/any']);
  });
  it('namesOf never takes a part of a name otherwise', () => {
    for (const word of ['no', 'no-loss/', 'no-loss/c', 'balance', '']) {
      expect(() => namesOf('property', word, NAMES)).toThrow(UsageError);
    }
  });
});

describe('entryOf', () => {
  const table = [{ name: 'skylake' }, { name: 'haswell' }, { name: 'haswell-notsx' }];
  it('entryOf always finds what exists', () => {
    expect(entryOf('CPU', 'haswell', table)).toBe(table[1]);
  });
  it('entryOf suggests a similar name, and never a dissimilar one', () => {
    expect(() => entryOf('CPU', 'skylak', table)).toThrow(/Did you mean skylake\?/);
    expect(() => entryOf('CPU', 'sky', table)).toThrow(/Did you mean skylake\?/);
    expect(() => entryOf('CPU', 'pentium', table)).toThrow(
      /'pentium'\. There are: skylake, haswell/,
    );
  });
});

describe('wholeNumber', () => {
  it('wholeNumber takes the whole numbers within its bounds, and never another word', () => {
    const parse = wholeNumber(1, 6);
    fc.assert(
      fc.property(fc.integer({ min: -10, max: 20 }), (n) => {
        if (n >= 1 && n <= 6) expect(parse(String(n))).toBe(n);
        else expect(() => parse(String(n))).toThrow(InvalidArgumentError);
      }),
    );
    for (const word of ['', ' 1', '1.0', '1e0', '0x1', 'one', '9'.repeat(30)]) {
      expect(() => parse(word)).toThrow(InvalidArgumentError);
    }
  });
});

describe('addWidthOption', () => {
  const taken = (...words: readonly string[]): number =>
    inColumns(WIDTH, () => {
      const command = addWidthOption(new Command().option('--json')).exitOverride();
      command.configureOutput({ outputError: () => {} }).action(() => {});
      command.parse(words, { from: 'user' });
      return textWidth();
    });
  it('--width sets the columns of the text, which are those of the terminal without it', () => {
    expect(taken('--width', '61')).toBe(61);
    expect(taken()).toBe(process.stdout.columns || 80);
  });
  it('--width never changes lines of JSON', () => {
    expect(taken('--width', '61', '--json')).toBe(WIDTH);
    expect(taken('--json')).toBe(WIDTH);
  });
  it('--width takes whole numbers from 40 to 1000', () => {
    for (const word of ['39', '1001', 'x']) {
      expect(() => taken('--width', word)).toThrow('whole number from 40 to 1000');
    }
    expect([taken('--width', '40'), taken('--width', '1000')]).toEqual([40, 1000]);
  });
});

describe('collect', () => {
  it('collect always keeps the order', () => {
    expect(collect('b', collect('a'))).toEqual(['a', 'b']);
  });
});
