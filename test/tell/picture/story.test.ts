/** Stories say what the machine did: by properties over all golden schedules, and by some. */
import { describe, expect, it } from 'vitest';
import { Bench } from '../../../src/campaign/trial.js';
import * as branch from '../../../src/hw/branch.js';
import { PROPERTY } from '../../../src/judge/properties.js';
import { debugctlBits } from '../../../src/tell/msr_name.js';
import { stackRecords } from '../../../src/tell/record_text.js';
import { HOST_OWNS, type StoryStack } from '../../../src/tell/picture/stacks.js';
import { type Story, storyOf } from '../../../src/tell/picture/story.js';
import { timeline } from '../../../src/tell/timeline.js';
import { GOLDEN, goldenCase, goldenStory } from '../../rig/stories.js';

const STORIES: readonly (readonly [name: string, story: Story])[] = GOLDEN.map((name) => [
  `${name}`,
  goldenStory(name),
]);

/** Every stack of a state. */
function stacksOf({ pcpus, vcpus, tasks }: Story['steps'][number]['state']): StoryStack[] {
  return [
    ...pcpus.map(({ stack }) => stack),
    ...vcpus.flatMap(({ saved, kept, reference }) => [saved, kept, reference]),
    ...tasks.map(({ kept }) => kept),
  ].filter((stack) => stack !== null);
}

describe('a story', () => {
  it('of every golden schedule has a step for each action, up to the one that breaks it', () => {
    for (const [name, { steps, breaksAt, breaker, text }] of STORIES) {
      const { schedule } = goldenCase(name);
      expect(
        steps.map(({ number }) => number),
        `${name}`,
      ).toEqual(steps.map((_, i) => i));
      expect(steps.length - 1, `${name}`).toBe(breaksAt ?? schedule.length);
      expect(breaksAt === null, `${name}`).toBe(breaker === 'nobody');
      expect(text === '', `${name}`).toBe(breaker === 'nobody');
    }
  });

  it('of every golden schedule breaks where the monitor says, in the words of timeline', () => {
    for (const [name, { breaker, breaksAt, text }] of STORIES) {
      const replay = goldenCase(name);
      const told = timeline(replay);
      expect([breaker, text], `${name}`).toEqual([told.breaker, told.text]);
      if (breaker !== 'policy') continue;
      const { config, schedule, property } = replay;
      expect(breaksAt, `${name}`).toBe(new Bench(config).breaksAt(schedule, PROPERTY[property]));
    }
  });

  it('of every golden schedule says of each record whose address it has', () => {
    let records = 0;
    for (const [name, { steps }] of STORIES) {
      for (const { state } of steps) {
        for (const stack of stacksOf(state)) {
          for (const { vm, task, number, from, to } of stack.records) {
            const value = BigInt(from === '0x0' ? to : from);
            const hi = Number((value >> 32n) & 0xffffffffn);
            const owner = branch.addressVm(hi);
            expect(vm, `${name}`).toBe(owner === branch.HOST_VM ? HOST_OWNS : owner);
            expect(task, `${name}`).toBe(vm === HOST_OWNS ? -1 : branch.addressTask(hi));
            expect(number, `${name}`).toBe(Number(value & 0xffffffffn));
            records++;
          }
        }
      }
    }
    expect(records).toBeGreaterThan(1000);
  });

  it('that nothing breaks ends with the registers that the machine has at its end', () => {
    const held = STORIES.filter(([, { breaker }]) => breaker === 'nobody');
    expect(held.length).toBeGreaterThan(5);
    for (const [name, { steps }] of held) {
      const { config, schedule } = goldenCase(name);
      const bench = new Bench(config);
      bench.boot();
      for (let i = 0; i < schedule.length; i++) bench.step(schedule, i);
      const { machine, monitor } = bench;
      const { state } = steps[steps.length - 1];
      for (const [p, { stack, debugctl }] of machine.pcpus.entries()) {
        const shown = state.pcpus[p];
        expect(shown.debugctl, `${name}`).toBe(debugctlBits(debugctl));
        expect([shown.stack.tos, shown.stack.select]).toEqual([stack.tos, stack.lbr_select]);
        const slots = stackRecords(stack).filter(({ lo, hi }) => (lo | hi) !== 0);
        expect(shown.stack.records.map(({ slot }) => slot)).toEqual(slots.map(({ slot }) => slot));
        expect(shown.vcpu).toBe(machine.loaded(p)?.id ?? null);
        expect(shown.inGuest).toBe(machine.loaded(p)?.inGuest ?? false);
      }
      for (const { id, pcpu, msr_passthrough } of machine.vcpus) {
        const shown = state.vcpus[id];
        expect(shown.pcpu, `${name}`).toBe(pcpu < 0 ? null : pcpu);
        expect(shown.task).toBe(machine.cpu(id).cpuctx.current);
        expect(shown.passthrough).toBe(msr_passthrough);
        expect(shown.inKernel).toBe(machine.cpl(id) === 0);
        const own = monitor.reference.of(id);
        expect(shown.reference.tos).toBe(own.stack.tos);
        expect(shown.referenceDebugctl).toBe(debugctlBits(own.debugctl));
      }
    }
  });

  it('of every golden schedule enters and leaves guests in turn', () => {
    for (const [name, { steps }] of STORIES) {
      for (const [i, { entries, exits, state }] of steps.entries()) {
        if (i === 0) continue;
        const before = steps[i - 1].state;
        for (const { vcpu } of state.vcpus) {
          const inGuest = ({ pcpus }: typeof state): number =>
            pcpus.filter((pcpu) => pcpu.vcpu === vcpu && pcpu.inGuest).length;
          expect(entries[vcpu], `${name}`).toBeGreaterThanOrEqual(0);
          expect(inGuest(state), `${name}`).toBe(inGuest(before) + entries[vcpu] - exits[vcpu]);
        }
      }
    }
  });

  it('of every golden schedule is plain data, and the same each time', () => {
    for (const [name, story] of STORIES) {
      expect(JSON.parse(JSON.stringify(story)), `${name}`).toEqual(story);
    }
    expect(storyOf(goldenCase('001'))).toEqual(goldenStory('001'));
  });

  it('of 001 tells the leak as README does', () => {
    const { steps, breaksAt } = goldenStory('001');
    expect(breaksAt).toBe(9);
    const call = { slot: 1, vm: 1, task: 0, kind: 'call', number: 3, text: 'VM 1 task 0 call#3' };
    // The record of v1 lies in the registers, in perf's copy, and in the registers of v0.
    expect(steps[3].state.pcpus[0].stack.records).toMatchObject([call]);
    expect(steps[5].state.vcpus[1]).toMatchObject({ holder: 'perf', kept: { records: [call] } });
    expect(steps[7].state.vcpus[1]).toMatchObject({ holder: 'nobody', passthrough: false });
    expect(steps[8].state.vcpus[0]).toMatchObject({ holder: 'registers', wrong: [1] });
    expect(steps[8].state.vcpus[0].reference.records).toEqual([]);
    // The guest's own perf has kept the record for its task.
    expect(steps[4].state.tasks.filter(({ kept }) => kept !== null)).toMatchObject([
      { vm: 1, task: 0, vcpu: null, kept: { tos: 1, records: [call] } },
    ]);
    const { accesses, exits, entries, who, action, sentence } = steps[9];
    expect([who, action, sentence]).toEqual([
      'v0 (VM 0, task 0, p0)',
      'v0: pmi event=0',
      'PMI of event 0',
    ]);
    expect([entries, exits]).toEqual([
      [3, 0],
      [3, 0],
    ]);
    // The last access is the one that breaks the property: nothing after it is told.
    expect(accesses[accesses.length - 1]).toEqual({
      by: 'guest',
      vcpu: 0,
      pcpu: 0,
      write: false,
      msr: 'FROM_1',
      slot: 1,
      count: 1,
      value: '0x90000000003',
      text: 'VM 1 task 0 call#3',
      records: [],
      exits: false,
      fault: false,
      reference: '0',
    });
    expect(accesses[0]).toMatchObject({ msr: 'GLOBAL_CTRL', write: true, exits: true });
  });

  it('tells whose code makes an access, a whole stack at once, and what faults', () => {
    const all = STORIES.flatMap(([, { steps }]) => steps.flatMap(({ accesses }) => accesses));
    const whole = all.filter(({ msr }) => msr === 'all');
    expect(whole.length).toBeGreaterThan(10);
    expect(whole.every(({ count }) => count > 30)).toBe(true);
    expect(whole.find(({ records }) => records.length > 0)).toMatchObject({ slot: -1, value: '' });
    const perf = all.filter(({ by }) => by === 'host perf');
    expect(perf.every(({ vcpu, exits }) => vcpu === null && !exits)).toBe(true);
    expect(perf.some(({ msr, write }) => msr === 'DEBUGCTL' && write)).toBe(true);
    const faults = all.filter(({ fault }) => fault);
    expect(faults.some(({ by, write }) => by === 'guest' && !write)).toBe(true);
    expect(faults.some(({ by, write }) => by === 'guest' && write)).toBe(true);
    expect(faults.some(({ by }) => by === 'policy')).toBe(true);
    expect(faults.filter(({ write }) => !write).every(({ value }) => value === '')).toBe(true);
  });

  it('tells the branches of samples, of guests and of the host', () => {
    const [sample] = goldenStory('012').steps.flatMap(({ samples }) => samples);
    expect(sample).toMatchObject({ vcpu: 0, pcpu: 0 });
    expect(sample.branches[0]).toMatch(/^VM 0 task 0 /);
    const host = goldenStory('003').steps.flatMap(({ samples }) => samples);
    expect(host[0]).toMatchObject({ vcpu: null, pcpu: 0 });
    expect(host[0].branches.length).toBeGreaterThan(0);
  });

  it('shows a function that was left, what ACTIVE says, and a copy that KVM has', () => {
    const left = goldenStory('004').steps[4].state.vcpus[0];
    expect(left.inside).toBe('context_switch(), after 3 of its MSR accesses');
    const states = STORIES.flatMap(([, { steps }]) => steps.map(({ state }) => state));
    const vcpus = states.flatMap((state) => state.vcpus);
    expect(vcpus.some(({ active }) => active)).toBe(true);
    expect(vcpus.some(({ holder, saved }) => holder === 'KVM' && saved.records.length > 0)).toBe(
      true,
    );
    expect(
      vcpus.filter(({ holder }) => holder === 'nobody').every(({ wrong }) => wrong.length === 0),
    ).toBe(true);
  });
});
