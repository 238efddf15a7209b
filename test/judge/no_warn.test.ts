/** `no-warn`: a WARN_ON of a guest's kernel that runs as C code breaks a property of its own. */
import { beforeAll, describe, expect, it } from 'vitest';
import { CALLSTACK_USER } from '../../src/guest/perf/perf_event.js';
import type { DriverKind } from '../../src/guest/perf/lbr_driver.js';
import { always } from '../../src/host/policy/always.js';
import * as msrs from '../../src/hw/msr_index.js';
import { Monitor } from '../../src/judge/monitor.js';
import { PROPERTIES, PROPERTY } from '../../src/judge/properties.js';
import { Machine } from '../../src/machine/machine.js';
import { imageDriver } from '../../src/tree/image/image.js';
import { imageOf, imageVersions } from '../rig/images.js';
import { WatchedRig } from '../rig/judge.js';
import { machineConfig } from '../rig/machine.js';

const NAME = 'no-warn';

describe('no-warn', () => {
  it('a warning is the kernel’s own failure, told with its file and line', () => {
    const rig = new WatchedRig();
    expect(rig.breaker(NAME)).toBe('nobody');
    rig.monitor.guestWarned(1, 'kernel/events/core.c', 77);
    rig.monitor.guestWarned(0, 'kernel/events/core.c', 99);
    expect(rig.breaker(NAME)).toBe('kernel');
    expect(rig.ownDetail(NAME)).toBe('VM 1: WARNING at kernel/events/core.c:77');
    expect(PROPERTIES[PROPERTY[NAME]].of).toBe('kernel');
  });
});

describe.each(imageVersions('6.1', '6.12', '7.3'))('no-warn on Linux %s', (version) => {
  let driver: DriverKind;

  beforeAll(async () => {
    driver = imageDriver(await imageOf(version));
  }, 300_000);

  /** A PMI of an event. GLOBAL_STATUS may never read 0, as if it could not be acknowledged. */
  function afterPmi(stuck: boolean): { readonly own: boolean; readonly detail: string } {
    const config = machineConfig({ cpu: 'skylake', policy: always, driver });
    const monitor = new Monitor(config);
    const machine = new Machine(config, monitor);
    monitor.start(machine);
    machine.boot();
    expect(machine.open(0, 0, 0, CALLSTACK_USER)).toBe(0);
    const [port] = machine.ports;
    const rdmsr = port.rdmsr.bind(port);
    if (stuck) {
      port.rdmsr = (msr): number => rdmsr(msr) | (msr === msrs.MSR_CORE_PERF_GLOBAL_STATUS ? 1 : 0);
    }
    machine.pmi(0, 0, 0);
    const { own, ownDetails } = monitor.verdicts;
    return { own: own[PROPERTY[NAME]] !== 0, detail: ownDetails[PROPERTY[NAME]] };
  }

  it('a PMI handler that can’t get rid of its status warns: "irq loop stuck"', () => {
    expect(afterPmi(false)).toEqual({ own: false, detail: '' });
    const { own, detail } = afterPmi(true);
    expect(own).toBe(true);
    // A path within the tree, wherever the tree lies.
    expect(detail).toMatch(/^VM 0: WARNING at arch\/x86\/events\/intel\/core\.c:\d+$/);
  });
});
