import { describe, expect, it } from 'vitest';
import { areDefault, DEFAULT_SHAPES } from '../../src/campaign/campaign.js';
import { shapesOf, withoutOf } from '../../src/console/machine_options.js';

describe('machines of an option', () => {
  it('are those of the default where no option is given', () => {
    expect(areDefault(shapesOf({}))).toBe(true);
  });

  it('are one machine with two VMs and a task more than vCPUs, where one is given', () => {
    expect(shapesOf({ vcpus: 1 })).toEqual([{ vms: 2, vcpus: 1, tasks: 2, pcpus: 1 }]);
    expect(shapesOf({ vms: 1 })).toEqual([{ vms: 1, vcpus: 1, tasks: 2, pcpus: 1 }]);
    expect(shapesOf({ tasks: 4 })).toEqual([{ vms: 2, vcpus: 1, tasks: 4, pcpus: 1 }]);
    expect(shapesOf({ pcpus: 3 })).toEqual([{ vms: 2, vcpus: 1, tasks: 2, pcpus: 3 }]);
    expect(shapesOf({ vcpus: 4 })).toEqual([{ vms: 2, vcpus: 4, tasks: 4, pcpus: 1 }]);
  });

  it('are refused where a VM has fewer tasks than vCPUs', () => {
    expect(() => shapesOf({ vcpus: 3, tasks: 2 })).toThrow(/tasks/);
  });
});

describe('the default machines', () => {
  it('are told from others by their shapes, and not by being the same object', () => {
    expect(areDefault(structuredClone(DEFAULT_SHAPES))).toBe(true);
    expect(areDefault(DEFAULT_SHAPES.slice(1))).toBe(false);
    expect(areDefault([])).toBe(false);
    expect(areDefault([...DEFAULT_SHAPES.slice(1), { vms: 1, vcpus: 1, tasks: 1, pcpus: 1 }])).toBe(
      false,
    );
  });
});

describe('actions that are left out', () => {
  it('are none where nothing is said', () => {
    expect(withoutOf({})).toEqual([]);
  });

  it('are those of a group, or the one that is named', () => {
    expect(withoutOf({ without: 'fork' })).toContain('fork');
    expect(withoutOf({ without: 'tick' })).toEqual(['tick']);
  });
});
