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

/** An access of a word that the policy does not declare. */
export class NoSuchWord extends Error {
  override readonly name: string = 'NoSuchWord';

  constructor(name: string, names: readonly string[]) {
    const there = names.length === 0 ? 'none' : names.join(', ');
    super(`vcpu.words has no '${name}'; \`words\` of the policy declares ${there}`);
  }
}

function isWord(name: string | symbol): name is string {
  return typeof name === 'string' && !(name in Object.prototype);
}

/** What a name that is no word finds at the end of the prototypes: words cost nothing more. */
function undeclared(names: readonly string[]): object {
  return new Proxy(Object.prototype, {
    get(target, name): unknown {
      if (isWord(name)) throw new NoSuchWord(name, names);
      return Reflect.get(target, name);
    },
    set(_target, name): boolean {
      throw new NoSuchWord(String(name), names);
    },
  });
}

/** One class for all machines whose policy has the same names, so that accesses stay fast. */
const CLASSES: Map<string, typeof PolicyWords> = new Map();

/** The words that lie from `first` on in the block, by `names`; others throw `NoSuchWord`. */
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
    Object.setPrototypeOf(found.prototype, undeclared(names));
    CLASSES.set(key, found);
  }
  return Object.preventExtensions(new found(words, first)) as unknown as Record<Word, number>;
}
