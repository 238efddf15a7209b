import { describe, expect, it } from 'vitest';
import { LEFT_OUT_NAMES, leftOut } from '../../src/schedule/left_out.js';
import { ACTION_NAMES } from '../../src/schedule/table.js';

describe('leftOut', () => {
  it('a group leaves out the actions that belong to no other group', () => {
    expect(leftOut(['host'])).toEqual(['hostEvent', 'hostWork']);
    expect(leftOut(['migrate'])).toEqual(['liveMigrate']);
    expect(leftOut(['migrate', 'host'])).toEqual(['hostEvent', 'hostWork', 'liveMigrate']);
  });

  it('an action of two groups is left out with both of them alone', () => {
    expect(leftOut(['calls'])).toEqual([]);
    expect(leftOut(['runs'])).toEqual([]);
    expect(leftOut(['calls', 'runs'])).toEqual(['call', 'ret']);
  });

  it('an action is left out by its own name, whether a group has it or not', () => {
    expect(leftOut(['watchdog'])).toEqual(['watchdog']);
    expect(leftOut(['call', 'exit'])).toEqual(['call', 'exit']);
    expect(leftOut([])).toEqual([]);
  });

  it('every action and every group can be named, each once', () => {
    for (const name of ACTION_NAMES) expect(LEFT_OUT_NAMES).toContain(name);
    expect(LEFT_OUT_NAMES).toContain('overflow');
    expect(new Set(LEFT_OUT_NAMES).size).toBe(LEFT_OUT_NAMES.length);
    expect(leftOut(LEFT_OUT_NAMES)).toEqual(ACTION_NAMES);
  });
});
