/** The reference machine: which reads, leaks and faults count as wrong. */
import { describe, expect, it } from 'vitest';
import { MSR_KVM_PV_LBR_CTRL } from '../../src/guest/pv/kvm_para.js';
import * as branch from '../../src/hw/branch.js';
import * as msrs from '../../src/hw/msr_index.js';
import { PROPERTY, type PropertyName } from '../../src/judge/properties.js';
import { CALL_RDMSR, CALL_SWITCH, CALL_WRMSR } from '../../src/machine/guest_call.js';
import { type CheckRig, referenceRig, type Seen } from '../rig/judge.js';
import { DEBUGCTL, FROM, INFO, LBR, SELECT, TO, TOS } from '../rig/machine.js';

const FREEZE = msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;
const STATUS = msrs.MSR_CORE_PERF_GLOBAL_STATUS;

const address = (vm: number): number => branch.addressHigh(false, branch.BRANCH_JCC, vm, 0, 0);

/** Puts vCPU 0 into call-stack mode. */
function callstackMode({ m, ref }: CheckRig): void {
  m.cpu(0).cpuc.lbr_users = 1;
  ref.write(0, SELECT, msrs.LBR_CALL_STACK, 0);
}

function wrongRead({ ref }: CheckRig): void {
  ref.read(0, FROM, 1, address(0));
}

describe('read', () => {
  it('a read is never wrong if the reference machine returns the same', () => {
    const { ref, m, verdicts } = referenceRig();
    for (const msr of [FROM + 1, TO + 2, INFO + 3, TOS, SELECT, DEBUGCTL]) {
      const edx = msr === FROM + 1 || msr === TO + 2 ? 5 : 0;
      ref.write(0, msr, 1, edx);
      ref.read(0, msr, 1, edx);
    }
    ref.read(1, FROM + 1, 0, 0);
    ref.read(0, msrs.MSR_CORE_PERF_GLOBAL_CTRL, 99, 99);
    expect([m.vcpus.length, verdicts.news]).toEqual([4, false]);
  });

  it('a read is wrong if either half differs, and the text says what instead of what', () => {
    for (const [eax, edx] of [
      [8, 5],
      [7, 6],
    ]) {
      const rig = referenceRig();
      rig.ref.write(0, FROM + 1, 7, 5);
      rig.ref.read(0, FROM + 1, eax, edx);
      expect(rig.broken).toEqual(['no-loss/any']);
      const text = rig.detail('no-loss/any');
      expect(text).toContain(`v0: RDMSR 0x681 returned 0x0000000${edx}0000000${eax}, of VM 0, `);
      expect(text).toContain('instead of 0x0000000500000007');
    }
  });

  it('a loss of an LBR MSR in call-stack mode always counts apart', () => {
    for (const [users, select, msr, callstack] of [
      [1, msrs.LBR_CALL_STACK, FROM, true],
      [0, msrs.LBR_CALL_STACK, FROM, false],
      [1, msrs.LBR_KERNEL, FROM, false],
      [1, msrs.LBR_CALL_STACK, DEBUGCTL, false],
    ] as const) {
      const rig = referenceRig();
      rig.m.cpu(0).cpuc.lbr_users = users;
      rig.ref.write(0, SELECT, select, 0);
      rig.ref.read(0, msr, 1, 0);
      expect(rig.broken).toEqual(
        callstack ? ['no-loss/callstack', 'no-loss/any'] : ['no-loss/any'],
      );
      expect(rig.ref.inCallstackMode(0)).toBe(users > 0 && select === msrs.LBR_CALL_STACK);
    }
  });

  it('a record of another VM, or of the host, always counts as a leak', () => {
    const cases: readonly (readonly [number, number, number, boolean, string])[] = [
      [FROM, 1, address(1), true, ', of VM 1,'],
      [TO, 1, address(1), true, ', of VM 1,'],
      [FROM, 1, address(branch.HOST_VM), true, ", the host's,"],
      [INFO, branch.branchCycles(1, 3), 0, true, ', of VM 1,'],
      [INFO, branch.branchCycles(0, 3), 0, false, ', of VM 0,'],
      [FROM, 1, address(0), false, ', of VM 0,'],
      [TOS, 3, 0, false, '00003, instead'],
      [SELECT, 0x100, 0, false, '00100, instead'],
    ];
    for (const [msr, eax, edx, leak, text] of cases) {
      const rig = referenceRig();
      // The reference holds a record here, so a read of 0 is wrong as well.
      rig.ref.write(0, FROM + 9, 1, 0);
      rig.ref.read(0, msr, eax, edx);
      expect(rig.broken).toEqual(leak ? ['no-loss/any', 'no-leak/vm'] : ['no-loss/any']);
      expect(rig.detail('no-loss/any')).toContain(text);
    }
    const rig = referenceRig();
    rig.ref.write(2, FROM, 1, address(1));
    rig.ref.read(2, FROM, 0, 0);
    expect(rig.only('no-loss/any')).toContain('00000, instead');
  });

  it('a lost record is a premature stop if the policy took its guest to have stopped', () => {
    const lose = (
      dropped: number,
      lost: number,
      prepare = (_rig: CheckRig): void => {},
    ): boolean => {
      const rig = referenceRig();
      rig.ref.write(0, FROM + 1, lost, 0);
      rig.ref['dropped'][0] = dropped;
      prepare(rig);
      rig.ref.read(0, FROM + 1, 9, 0);
      return rig.broken.includes('no-premature-stop');
    };
    expect(lose(1, 7)).toBe(true);
    expect(lose(0, 7)).toBe(false);
    expect(lose(1, 0)).toBe(false);
    const other = (rig: CheckRig): void => rig.ref.read(0, FROM + 2, 0, 0);
    const right = (rig: CheckRig): void => rig.ref.read(0, FROM + 1, 7, 0);
    const debugctl = (rig: CheckRig): void => {
      rig.ref.write(0, DEBUGCTL, LBR, 0);
      rig.ref.read(0, DEBUGCTL, LBR, 0);
    };
    // A real record's return proves that nothing was dropped. An empty one proves nothing.
    expect(lose(1, 7, right)).toBe(false);
    expect(lose(1, 7, other)).toBe(true);
    expect(lose(1, 7, debugctl)).toBe(true);
    const rig = referenceRig();
    rig.ref.write(0, DEBUGCTL, LBR, 0);
    rig.ref['dropped'][0] = 1;
    rig.ref.read(0, DEBUGCTL, 0, 0);
    expect(rig.broken).toEqual(['no-loss/any']);
  });

  it('a CPU without TSX is never asked to keep bits 62:61 of FROM', () => {
    const both = msrs.LBR_FROM_FLAG_IN_TX_HI | msrs.LBR_FROM_FLAG_ABORT_HI;
    for (const [cpu, msr, edx, right] of [
      ['haswell-notsx', FROM, both, true],
      ['haswell-notsx', FROM, msrs.LBR_FROM_FLAG_ABORT_HI, true],
      ['haswell-notsx', FROM, msrs.LBR_FROM_FLAG_MISPRED_HI, false],
      ['haswell-notsx', TO, both, false],
      ['haswell', FROM, both, false],
      ['goldmont', FROM, both, false],
    ] as const) {
      const rig = referenceRig(cpu);
      rig.ref.read(0, msr, 0, edx);
      expect([cpu, edx, rig.broken.length === 0]).toEqual([cpu, edx, right]);
    }
  });

  it('a read after another holder of the registers is always counted', () => {
    const rig = referenceRig();
    const now = (): number[] =>
      (['foreign-in-registers', 'read-after-other', 'callstack-read-after-other'] as const).map(
        (name) => rig.reach(name),
      );
    rig.ref.write(0, FROM + 1, 7, 0);
    rig.ref.read(0, FROM + 1, 7, 0);
    expect(now()).toEqual([0, 0, 0]);
    rig.ref['other'][0] = 1;
    rig.ref.read(0, FROM + 2, 0, 0);
    expect(now()).toEqual([1, 0, 0]);
    rig.ref.read(0, FROM + 1, 7, 0);
    rig.ref.read(0, DEBUGCTL, 0, 0);
    expect(now()).toEqual([2, 1, 0]);
    callstackMode(rig);
    rig.ref.read(0, FROM + 1, 7, 0);
    rig.ref.read(0, FROM + 2, 0, 0);
    rig.ref.read(1, FROM + 1, 0, 0);
    expect(now()).toEqual([4, 2, 1]);
  });

  it('the TOS of a stack that is empty here and there never matters, and is followed', () => {
    const rig = referenceRig();
    rig.ref.read(0, TOS, 5, 0);
    expect([rig.broken, rig.ref.of(0).stack.tos]).toEqual([[], 5]);
    rig.ref.read(0, TOS, 5, 0);
    // TOS of an empty stack is free; its other registers are compared.
    rig.ref.read(0, FROM, 5, 0);
    expect(rig.broken).toEqual(['no-loss/any']);
  });

  it('the TOS of a stack that holds something, here or there, always matters', () => {
    for (const passthrough of [true, false]) {
      for (const where of ['reference', 'registers', 'copy'] as const) {
        const rig = referenceRig();
        const [vcpu] = rig.m.vcpus;
        rig.m.kvm.setPassthrough(vcpu, passthrough);
        if (where === 'reference') rig.ref.write(0, FROM, 7, 0);
        if (where === 'registers') rig.m.pcpus[0].wrmsr(FROM, 7, 0);
        if (where === 'copy') vcpu.records.write(FROM, 7, 0);
        rig.ref.read(0, TOS, 5, 0);
        const other = passthrough ? 'copy' : 'registers';
        expect(rig.broken).toEqual(where === other ? [] : ['no-loss/any']);
      }
    }
  });
});

describe('wrongSample', () => {
  it('a wrong sample is the policy’s if its reads were wrong, else the kernel’s own', () => {
    const after = (
      prepare: (rig: CheckRig, seen: Seen) => void,
    ): [PropertyName[], PropertyName[]] => {
      const seen = { nested: false, running: CALL_SWITCH };
      const rig = referenceRig('skylake', seen);
      prepare(rig, seen);
      const before = rig.broken;
      rig.ref.wrongSample(0, PROPERTY['callstack-true'], () => 'text');
      return [rig.broken.filter((name) => !before.includes(name)), rig.own];
    };
    const status = (rig: CheckRig): void => rig.ref.read(0, STATUS, 1, 0);
    expect(after(() => {})).toEqual([[], ['callstack-true']]);
    expect(after((rig) => wrongRead(rig))).toEqual([['callstack-true'], []]);
    // Reads before this PMI's handler have no part in the sample, but they made the guest diverge.
    expect(
      after((rig) => {
        wrongRead(rig);
        status(rig);
      }),
    ).toEqual([[], []]);
    expect(
      after((rig, seen) => {
        wrongRead(rig);
        seen.nested = true;
      }),
    ).toEqual([[], []]);
    expect(after((_rig, seen) => void (seen.nested = true))).toEqual([[], ['callstack-true']]);
    // A wrong read by another vCPU taints its own VM only.
    expect(after((rig) => rig.ref.read(1, FROM, 1, 0))).toEqual([[], []]);
    expect(after((rig) => rig.ref.read(2, FROM, 1, 0))).toEqual([[], ['callstack-true']]);
    expect(after((rig) => rig.ref.read(1, STATUS, 1, 0))).toEqual([[], ['callstack-true']]);
  });
});

describe('write', () => {
  it('a write reaches the registers of its vCPU, and of DEBUGCTL the bits that KVM knows', () => {
    const { ref } = referenceRig();
    ref.write(1, DEBUGCTL, LBR | FREEZE | msrs.DEBUGCTLMSR_BTF, 0);
    ref.write(1, FROM + 1, 7, 5);
    ref.write(1, msrs.MSR_CORE_PERF_GLOBAL_CTRL, 3, 0);
    const all = [DEBUGCTL, FROM + 1, msrs.MSR_CORE_PERF_GLOBAL_CTRL].map((msr) => [
      ref.of(1).rdmsr(msr),
      ref.of(1).edx,
      ref.of(0).rdmsr(msr),
    ]);
    expect(all).toEqual([
      [LBR | FREEZE, 0, 0],
      [7, 5, 0],
      [0, 0, 0],
    ]);
    expect([ref.lbrOn(0), ref.lbrOn(1)]).toEqual([false, true]);
    ref.write(1, DEBUGCTL, FREEZE, 0);
    expect(ref.lbrOn(1)).toBe(false);
  });

  it('a write of a value that should have been refused is always wrong', () => {
    const rig = referenceRig();
    rig.ref.write(0, SELECT, 0x3ff, 0);
    rig.ref.write(0, 0x10, 0, 1);
    expect(rig.broken).toEqual([]);
    rig.ref.write(0, SELECT, 0, 1);
    expect(rig.only('no-fault')).toContain('v0: WRMSR 0x1c8 took a value');
  });
});

describe('fault', () => {
  const verdict = (
    msr: number,
    write: boolean,
    eax: number,
    edx: number,
    running = CALL_SWITCH,
  ): string => {
    const rig = referenceRig('skylake', { nested: false, running });
    rig.ref.fault(0, msr, write, eax, edx);
    if (rig.broken.length > 0) expect(rig.broken).toEqual(['no-fault']);
    if (rig.own.length > 0) expect(rig.own).toEqual(['no-fault']);
    return rig.broken.length > 0 ? 'policy' : rig.own.length > 0 ? 'kernel' : 'nobody';
  };
  const KNOWN = [
    DEBUGCTL,
    msrs.MSR_IA32_PERF_CAPABILITIES,
    STATUS,
    msrs.MSR_CORE_PERF_GLOBAL_CTRL,
    msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL,
    MSR_KVM_PV_LBR_CTRL,
  ];

  it('a fault on a read of an MSR that exists is never right', () => {
    for (const msr of [...KNOWN, FROM, TOS, SELECT]) {
      expect([msr, verdict(msr, false, 0, 0)]).toEqual([msr, 'policy']);
    }
    expect([verdict(0x10, false, 0, 0), verdict(0x10, true, 0, 0)]).toEqual(['kernel', 'kernel']);
  });

  it('a fault on a write that the silicon or KVM refuses is always right', () => {
    const known = LBR | FREEZE | msrs.DEBUGCTLMSR_BTF;
    for (const [msr, eax, edx, whose] of [
      [SELECT, 0, 1, 'kernel'],
      [SELECT, 1, 0, 'policy'],
      [FROM, 1, 0x00ff0000, 'kernel'],
      [FROM, 1, 0, 'policy'],
      [DEBUGCTL, known, 0, 'policy'],
      [DEBUGCTL, known, 1, 'kernel'],
      [DEBUGCTL, known | 4, 0, 'kernel'],
      [DEBUGCTL, known | msrs.DEBUGCTLMSR_RTM_DEBUG, 0, 'policy'],
      [DEBUGCTL, known | msrs.DEBUGCTLMSR_FREEZE_IN_SMM, 0, 'kernel'],
    ] as const) {
      expect([msr, eax, edx, verdict(msr, true, eax, edx)]).toEqual([msr, eax, edx, whose]);
    }
    for (const msr of KNOWN.slice(1)) {
      const readOnly = msr === msrs.MSR_IA32_PERF_CAPABILITIES;
      expect([msr, verdict(msr, true, 0, 0)]).toEqual([msr, readOnly ? 'kernel' : 'policy']);
    }
  });

  it('a fault that a raw access asked for never counts for the kernel', () => {
    for (const running of [CALL_RDMSR, CALL_WRMSR]) {
      expect(verdict(SELECT, true, 0, 1, running)).toBe('nobody');
      expect(verdict(SELECT, true, 1, 0, running)).toBe('policy');
    }
  });

  it('a fault that the kernel expects breaks nothing, if it is right', () => {
    for (const [eax, whose] of [
      [msrs.DEBUGCTLMSR_FREEZE_IN_SMM, 'nobody'],
      [LBR, 'policy'],
    ] as const) {
      const rig = referenceRig('skylake', {
        nested: false,
        running: CALL_SWITCH,
        expectsFault: true,
      });
      rig.ref.fault(0, DEBUGCTL, true, eax, 0);
      expect(rig.breaker('no-fault')).toBe(whose);
    }
  });

  /** Calls `prepare`, then gives vCPU 0 a wrong sample. Returns who breaks callstack-true. */
  const sampled = (prepare: (rig: CheckRig) => void): string => {
    const rig = referenceRig();
    prepare(rig);
    rig.ref.wrongSample(0, PROPERTY['callstack-true'], () => 'text');
    return rig.breaker('callstack-true');
  };

  it('a VM diverges by a fault that the reference machine does not raise', () => {
    const write = (vcpu: number, edx: number) => (rig: CheckRig) =>
      rig.ref.fault(vcpu, SELECT, true, 1, edx);
    expect(sampled(() => {})).toBe('kernel');
    expect(sampled(write(0, 0))).toBe('nobody');
    // A wrong fault of another vCPU taints its own VM only.
    expect([sampled(write(1, 0)), sampled(write(2, 0))]).toEqual(['nobody', 'kernel']);
    // A fault on both machines changes nothing; a write that only the reference refuses does.
    expect(sampled(write(0, 1))).toBe('kernel');
    expect(sampled((rig) => rig.ref.write(0, SELECT, 0, 1))).toBe('nobody');
  });

  it('a fault on a read of what is not 0 always makes the sample wrong', () => {
    const read = (msr: number, value: number) => (rig: CheckRig) => {
      rig.ref.write(0, msr, value, 0);
      rig.ref.fault(0, msr, false, 0, 0);
    };
    for (const msr of [FROM, TOS, DEBUGCTL]) {
      expect([msr, sampled(read(msr, 1))]).toEqual([msr, 'policy']);
      // The value 0 is right, but the #GP is not.
      expect([msr, sampled(read(msr, 0))]).toEqual([msr, 'nobody']);
    }
    const high = sampled(({ ref }) => {
      ref.write(0, FROM, 0, 1);
      ref.fault(0, FROM, false, 0, 0);
    });
    expect(high).toBe('policy');
    // Reads before the PMI handler have no part in the sample; nor have other MSRs.
    const before = sampled((rig) => {
      read(FROM, 1)(rig);
      rig.ref.read(0, STATUS, 1, 0);
    });
    expect(before).toBe('nobody');
    expect(sampled((rig) => rig.ref.fault(0, STATUS, false, 0, 0))).toBe('nobody');
  });

  it('a fault is never the kernel’s own once the guest has diverged', () => {
    const rig = referenceRig();
    wrongRead(rig);
    rig.ref.fault(0, SELECT, true, 0, 1);
    expect(rig.own).toEqual([]);
    // The guest of the other VM has not diverged.
    rig.ref.fault(2, SELECT, true, 0, 1);
    expect(rig.own).toEqual(['no-fault']);
  });

  it('a fault is always told with its access', () => {
    const rig = referenceRig();
    rig.ref.fault(1, FROM, false, 0, 0);
    expect(rig.detail('no-fault')).toBe('v1: #GP on RDMSR 0x680');
    rig.ref.fault(2, SELECT, true, 0, 1);
    expect(rig.ownDetail('no-fault')).toBe('v2: #GP on WRMSR 0x1c8');
  });
});

describe('pmi', () => {
  it('a PMI on the reference machine freezes as a PMU of version 2 does, in silicon', () => {
    const rig = referenceRig();
    expect(rig.ref.model.pmu_version).toBe(2);
    rig.ref.write(0, DEBUGCTL, LBR, 0);
    rig.ref.pmi(0, 1);
    expect([rig.ref.lbrOn(0), rig.reach('legacy-freeze')]).toEqual([true, 0]);
    rig.ref.write(0, DEBUGCTL, LBR | FREEZE, 0);
    rig.ref.pmi(0, 1);
    expect([rig.ref.lbrOn(0), rig.reach('legacy-freeze')]).toEqual([false, 1]);
  });
});

describe('start', () => {
  it('a start of the reference forgets the run before', () => {
    const rig = referenceRig();
    rig.ref.write(0, FROM, 7, 0);
    rig.ref.write(0, DEBUGCTL, LBR, 0);
    wrongRead(rig);
    rig.ref['other'].fill(1);
    rig.ref['dropped'].fill(1);
    rig.verdicts.clear();
    rig.ref.start();
    rig.ref.read(0, FROM, 0, 0);
    expect([rig.ref.lbrOn(0), rig.broken]).toEqual([false, []]);
    expect([...rig.ref['other'], ...rig.ref['dropped']].every((flag) => flag === 0)).toBe(true);
    rig.ref.wrongSample(0, PROPERTY['callstack-true'], () => '');
    expect([rig.broken, rig.own]).toEqual([[], ['callstack-true']]);
  });
});
