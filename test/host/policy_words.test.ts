/** The words in which a policy keeps its state of a vCPU, by the names that the policy declares. */
import { describe, expect, it } from 'vitest';
import { NoSuchWord, policyWords } from '../../src/host/policy_words.js';
import { Layout, Memory } from '../../src/hw/memory.js';

function blockOf(): Memory {
  const layout = new Layout();
  layout.take(20);
  return new Memory(layout);
}

describe('policyWords', () => {
  it('policyWords always reads and writes the words of the block, in the order of names', () => {
    const memory = blockOf();
    const a = policyWords<'live' | 'used'>(memory, 10, ['live', 'used']);
    const b = policyWords<'live' | 'used'>(memory, 12, ['live', 'used']);
    a.used = 7;
    b.live = -1;
    expect([...memory.words.subarray(9, 14)]).toEqual([0, 0, 7, -1, 0]);
    memory.words[10] = 5;
    expect([a.live, a.used, b.live, b.used]).toEqual([5, 7, -1, 0]);
  });

  it('policyWords never uses the place that a name has under another policy', () => {
    const memory = blockOf();
    const two = policyWords<'a' | 'b'>(memory, 0, ['a', 'b']);
    const swapped = policyWords<'a' | 'b'>(memory, 0, ['b', 'a']);
    two.a = 1;
    two.b = 2;
    expect([swapped.a, swapped.b]).toEqual([2, 1]);
  });

  it('policyWords always refuses a word that was not declared, and names those that were', () => {
    const words: Record<string, number> = policyWords<'live'>(blockOf(), 0, ['live', 'used']);
    const says = "vcpu.words has no 'lvie'; `words` of the policy declares live, used";
    expect(() => words.lvie).toThrow(new NoSuchWord('lvie', ['live', 'used']));
    expect(() => words.lvie).toThrow(says);
    expect(() => {
      words.lvie = 1;
    }).toThrow(says);
    const none: Record<string, number> = policyWords(blockOf(), 0, []);
    expect(() => none.live).toThrow('declares none');
  });

  it('policyWords are printed and compared as any object is', () => {
    const words = policyWords<'live'>(blockOf(), 0, ['live']);
    expect(`${words}`).toBe('[object Object]');
    expect(Object.getOwnPropertyNames(words)).toEqual([]);
  });
});
