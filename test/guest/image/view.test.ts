/** The words by which a machine looks into an image: their places, in C and in TypeScript. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as view from '../../../src/guest/image/view.js';

const C = new URL('../../../src/tree/image/c/', import.meta.url);
const SOURCE: string = ['kernel.h', 'events_core.c']
  .map((name) => readFileSync(new URL(name, C), 'utf8'))
  .join('\n');

/** A number that the C code defines. */
function defined(name: string): number {
  const [, text] = new RegExp(`^#define ${name} (\\d+)$`, 'm').exec(SOURCE) ?? [];
  expect([name, text]).toEqual([name, expect.any(String)]);
  return Number(text);
}

/** Word of each field of a structure of 32-bit words, and their number. */
function fieldsOf(struct: string): { readonly at: Map<string, number>; readonly words: number } {
  const [, body = ''] = new RegExp(`^struct ${struct} \\{\\n(.*?)^\\};`, 'ms').exec(SOURCE) ?? [];
  const at = new Map<string, number>();
  let words = 0;
  for (const [, names] of body.matchAll(/^\t[us]32 ([^;]+);$/gm)) {
    for (const name of names.split(', ')) {
      const [, field = '', size] = /^(\w+)(?:\[(\w+)\])?$/.exec(name) ?? [];
      at.set(field, words);
      words += size === undefined ? 1 : defined(size);
    }
  }
  return { at, words };
}

/** The constants of view.ts whose names have a prefix, without it. */
function constantsOf(prefix: string): Map<string, number> {
  const named = Object.entries(view).flatMap(([name, word]): [string, number][] =>
    name.startsWith(prefix) ? [[name.slice(prefix.length).toLowerCase(), word]] : [],
  );
  return new Map(named);
}

describe('the view of an image', () => {
  it.each([
    ['EVENT_', 'event_view', []],
    ['TASK_', 'task_view', ['exited']],
    ['CPU_', 'cpu_view', []],
  ] as const)('the words %s are those of struct %s', (prefix, struct, others) => {
    const constants = constantsOf(prefix);
    const { at, words } = fieldsOf(struct);
    expect(words).toBeGreaterThan(5);
    expect(constants.get('words')).toBe(words);
    for (const name of ['words', ...others]) constants.delete(name);
    const inC = [...at].map(([name, word]): [string, number] => [
      name === 'current_task' ? 'current' : name,
      word,
    ]);
    expect(constants).toEqual(new Map(inC));
  });

  it('events, tasks and CPUs lie one behind the other, after their numbers', () => {
    expect(view.EVENTS_NR).toBe(0);
    expect(view.EVENTS).toBe(3);
    expect(view.TASKS - view.EVENTS).toBe(defined('VIEW_EVENTS') * view.EVENT_WORDS);
    expect(view.CPUS - view.TASKS).toBe(defined('VLBR_TASKS') * view.TASK_WORDS);
    expect(view.COUNTERS).toBe(defined('VIEW_COUNTERS'));
  });

  it('a task that has exited has the address of no object', () => {
    expect(SOURCE).toContain(`#define VLBR_EXITED ((struct task_struct *)${view.TASK_EXITED})`);
  });
});
