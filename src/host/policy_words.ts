import type { Memory } from '../hw/memory.js';

/** Words of the machine's block by name; a class derived from it has an accessor for each name. */
class PolicyWords {
  readonly #block: Int32Array;
  readonly #first: number;

  constructor(block: Int32Array, first: number) {
    this.#block = block;
    this.#first = first;
  }

  static accessor(i: number): PropertyDescriptor & ThisType<PolicyWords> {
    return {
      enumerable: true,
      get() {
        return this.#block[this.#first + i];
      },
      set(value: number) {
        this.#block[this.#first + i] = value;
      },
    };
  }
}

/** One class for all machines whose policy has the same names, so that accesses stay fast. */
const CLASSES: Map<string, typeof PolicyWords> = new Map();

/** The words that lie from `first` on in the block, by `names`; no other can be written. */
export function policyWords<Word extends string>(
  { words }: Memory,
  first: number,
  names: readonly string[],
): Record<Word, number> {
  const key = names.join(' ');
  let found = CLASSES.get(key);
  if (found === undefined) {
    found = class extends PolicyWords {};
    names.forEach((name, i) => {
      Object.defineProperty(found?.prototype, name, PolicyWords.accessor(i));
    });
    CLASSES.set(key, found);
  }
  return Object.preventExtensions(new found(words, first)) as unknown as Record<Word, number>;
}
