/** v10: as merged, but any write of DEBUGCTL creates the event, and a trapped access keeps it. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as msrs from '../../../src/hw/msr_index.js';
import { merged } from '../../../src/host/policy/merged.js';
import { v10 } from '../../../src/host/policy/v10.js';
import { DEBUGCTL, FROM, INFO, LBR, ON, PINNED, Rig, SELECT, TOS } from '../../rig/machine.js';
import { seeded } from '../../rig/seed.js';
import { anySlices, performSlice, type Slice } from '../../rig/slices.js';

const FREEZE = msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;
const OPEN = ['FROM', 'TO', 'TOS', 'SELECT'];

describe('the words of v10', () => {
  it('the words of v10 are those of merged and one more', () => {
    expect(v10.words).toEqual(['need_cleanup', 'in_use']);
  });
});

describe('setDebugctl', () => {
  it('any write of DEBUGCTL creates the event of v10, and counts as use', () => {
    for (const value of [LBR, FREEZE, 0]) {
      const rig = new Rig(v10);
      expect([rig.event, rig.words, rig.open, rig.inUse]).toEqual(['none', [], [], false]);
      expect([rig.write(0, DEBUGCTL, value), rig.debugctl]).toEqual([0, value]);
      expect([rig.event, rig.words, rig.work()]).toEqual(['active', ['in_use'], ['perf writes']]);
      expect([rig.write(0, DEBUGCTL, value), rig.work()]).toEqual([0, []]);
      rig.enter();
      expect([rig.open, rig.inUse]).toEqual([OPEN, true]);
    }
  });

  it('a read of DEBUGCTL creates no event of v10, and counts for nothing', () => {
    const rig = new Rig(v10);
    expect([rig.read(0, DEBUGCTL), rig.event, rig.words]).toEqual([0, 'none', []]);
  });

  it('a write of DEBUGCTL counts as use for v10 even if perf refuses the event', () => {
    const rig = new Rig(v10, { cpu: 'nehalem' });
    expect([rig.write(0, DEBUGCTL, LBR), rig.debugctl]).toEqual([0, LBR]);
    expect([rig.event, rig.words, rig.work()]).toEqual(['none', ['in_use'], []]);
    rig.nextSlice();
    expect([rig.words, rig.open, rig.inUse]).toEqual([['in_use'], [], false]);
  });
});

describe('a trapped access', () => {
  it('a trapped access counts as use, finds a wiped stack, and opens the registers', () => {
    const read = new Rig(v10);
    read.m.pcpus[0].wrmsr(FROM + 1, 66, 0);
    expect([read.read(0, FROM + 1), read.work()]).toEqual([0, ['perf writes', 'v0 reads one']]);
    expect([read.event, read.words, read.open]).toEqual(['active', ['in_use'], []]);
    read.enter();
    expect([read.open, read.inUse]).toEqual([OPEN, true]);

    const write = new Rig(v10);
    expect([write.write(0, FROM + 1, 77), write.read(0, FROM + 1)]).toEqual([0, 77]);
    expect([write.event, write.words]).toEqual(['active', ['in_use']]);
    expect(write.work()).toEqual(['perf writes', 'v0 writes one']);
  });

  it('a trapped access to INFO counts as use for v10', () => {
    const rig = new Rig(v10, { cpu: 'skylake' });
    expect([rig.write(0, INFO, 7), rig.read(0, INFO), rig.words]).toEqual([0, 7, ['in_use']]);
  });

  it('v10 hands the high half on, and a value that is refused faults the host', () => {
    const rig = new Rig(v10);
    rig.write(0, FROM + 1, 77, 3);
    rig.m.kvm.exit(rig.m.vcpus[0]);
    rig.m.kvm.setPassthrough(rig.m.vcpus[0], false);
    const { eax, edx, vector } = v10.get_msr(rig.m.kvm, rig.m.vcpus[0], FROM + 1);
    expect([eax, edx, vector]).toEqual([77, 3, 0]);
    rig.work();
    expect(v10.set_msr(rig.m.kvm, rig.m.vcpus[0], SELECT, 0, 1)).toBe(0);
    expect(rig.work()).toEqual(['v0 writes one', 'host fault']);
  });

  it('without an event v10 reads 0 and drops writes', () => {
    const rig = new Rig(v10, { cpu: 'nehalem' });
    rig.m.pcpus[0].wrmsr(FROM + 1, 66, 0);
    expect([rig.read(0, FROM + 1), rig.words]).toEqual([0, ['in_use']]);
    expect([rig.write(0, FROM + 1, 77), rig.m.pcpus[0].rdmsr(FROM + 1)]).toEqual([0, 66]);
    expect([rig.work(), rig.open]).toEqual([[], []]);
  });
});

describe('cleanup', () => {
  it('v10 forgets a use at the first switch, and ends the event at the second', () => {
    for (const access of [
      (rig: Rig) => rig.read(0, TOS),
      (rig: Rig) => rig.write(0, TOS, 1),
      (rig: Rig) => rig.write(0, DEBUGCTL, 0),
    ]) {
      const rig = new Rig(v10);
      access(rig);
      expect(rig.words).toEqual(['in_use']);
      rig.m.switchTo(0, 1);
      rig.m.switchOut(0, 0);
      rig.m.host.schedIn(0, 0);
      rig.m.kvm.schedIn(rig.m.vcpus[0], 0);
      expect(rig.words).toEqual(['need_cleanup', 'in_use']);
      rig.enter();
      expect([rig.words, rig.event, rig.open]).toEqual([[], 'active', OPEN]);
      // Only a switch triggers the cleanup, so VM exits and entries alone keep the event.
      for (let i = 0; i < 3; i++) {
        rig.m.exitAndEnter(0);
        rig.enter();
      }
      expect([rig.words, rig.event]).toEqual([[], 'active']);
      rig.nextSlice();
      expect([rig.words, rig.event, rig.open, rig.inUse]).toEqual([[], 'none', [], false]);
    }
  });

  it('v10 never sees an access that is passed through', () => {
    const rig = new Rig(v10);
    rig.read(0, TOS);
    rig.nextSlice();
    expect([rig.write(0, TOS, 1), rig.read(0, TOS), rig.words]).toEqual([0, 1, []]);
    rig.nextSlice();
    expect(rig.event).toBe('none');
  });

  it('v10 never forgets a use while there is no event to clean up', () => {
    const rig = new Rig(v10);
    rig.read(0, TOS);
    v10.reset(rig.m.kvm, rig.m.vcpus[0]);
    expect([rig.event, rig.words]).toEqual(['none', ['in_use']]);
    rig.nextSlice();
    expect(rig.words).toEqual(['in_use']);
  });

  /**
   * After a write of DEBUGCTL, or an access that trapped because there was no event, the event
   * lasts through the next slice. The event also lasts as long as LBR is on, and not one slice
   * more.
   */
  function follows(slices: readonly Slice[]): void {
    const rig = new Rig(v10);
    let [seen, lbr, had] = [-2, false, false];
    slices.forEach((slice, i) => {
      rig.nextSlice();
      const kept: boolean = had && (lbr || seen === i - 1);
      expect(rig.event).toBe(kept ? 'active' : 'none');
      if (slice === 'read') expect(rig.read(0, TOS)).toBe(0);
      else performSlice(rig, slice);
      const wrote = slice === 'on' || slice === 'off';
      if (wrote) lbr = slice === 'on';
      if (wrote || (slice === 'read' && !kept)) seen = i;
      had = kept || slice !== 'idle';
      rig.enter();
      expect([rig.event, rig.inUse]).toEqual([had ? 'active' : 'none', had]);
    });
  }

  it('the event of v10 lasts one switch after a trapped access, or while LBR is on', () => {
    fc.assert(fc.property(anySlices, follows), seeded(100));
    follows(['read', 'read', 'read', 'off', 'idle', 'idle', 'on', 'idle', 'idle', 'off', 'idle']);
  });

  it('perf keeps stack and LBR_SELECT through the slice that v10 grants', () => {
    for (const [policy, kept] of [
      [v10, [77, 5]],
      [merged, [0, 0]],
    ] as const) {
      const rig = new Rig(policy);
      rig.write(0, FROM, 77);
      rig.write(0, SELECT, 5);
      rig.m.switchTo(0, 1);
      rig.write(1, FROM, 66);
      rig.write(1, SELECT, 1);
      rig.m.switchTo(0, 0);
      expect([rig.read(0, FROM), rig.read(0, SELECT)]).toEqual(kept);
    }
  });
});

describe('the event of v10', () => {
  it('the event of v10 counts beside a host event that is pinned to the CPU', () => {
    const rig = new Rig(v10);
    rig.m.hostEvent(0, PINNED, ON);
    expect([rig.read(0, TOS), rig.event, rig.counting]).toEqual([0, 'active', ['guest', 'pinned']]);
  });

  it('a live migration ends the event of v10 and all that it remembers', () => {
    const rig = new Rig(v10);
    rig.write(0, DEBUGCTL, LBR);
    rig.migrate();
    expect([rig.event, rig.words, rig.open, rig.debugctl]).toEqual(['none', [], [], 0]);
  });
});
