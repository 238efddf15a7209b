/** Where the space for call stacks lives, and how long, by version; and what counts its users. */
import { describe, expect, it } from 'vitest';
import * as tasks from '../../../src/guest/perf/events_task.js';
import * as syscall from '../../../src/guest/perf/events_syscall.js';
import { intel_pmu_snapshot_branch_stack } from '../../../src/guest/perf/intel_core.js';
import type { KernelVersion } from '../../../src/guest/perf/kernel.js';
import * as perf from '../../../src/guest/perf/perf_event.js';
import type { perf_event } from '../../../src/guest/perf/perf_structs.js';
import { endGracePeriod, hasRoom, taskData } from '../../../src/guest/perf/task_data.js';
import * as msrs from '../../../src/hw/msr_index.js';
import { ANY, CALLSTACK, CTRL_OFF, CTRL_ON, RESET, Rig, steps } from '../../rig/kernel.js';

const { ATTR_BOUND, ATTR_DISABLED, ATTR_ENABLE_ON_EXEC, ATTR_FREQ, ATTR_INHERIT } = perf;

const OLD: readonly KernelVersion[] = ['6.1', '6.12'];
const ALL: readonly KernelVersion[] = [...OLD, '7.3'];

/** A task's block, as the rig's CPU finds it, after a grace period. */
function blockOf(rig: Rig, task: number): number {
  endGracePeriod(rig.kernel);
  return taskData(rig.kernel, task);
}

function refcount({ kernel }: Rig, task: number): number {
  return kernel.ctxData[taskData(kernel, task) - 1].refcount;
}

function usersOf({ kernel }: Rig, task: number): number {
  return kernel.data[taskData(kernel, task) - 1].lbr_callstack_users;
}

/** The current task exits. */
function exit(rig: Rig, next: number): void {
  const { current } = rig.cpu.cpuctx;
  tasks.perf_event_exit_task(rig.cpu);
  rig.switchTo(next);
  rig.kernel.tasks[current].alive = 2;
  endGracePeriod(rig.kernel);
}

/** The attempt to open an event that the driver refuses. */
function refused(rig: Rig, task: number): number {
  const bad = CALLSTACK | perf.PERF_SAMPLE_BRANCH_ANY;
  return syscall.perf_event_open(rig.cpu, syscall.freeEvent(rig.kernel), task, 0, bad);
}

describe('space for call stacks', () => {
  it('in 6.1 it stays with the context, and from 6.2 on it goes with the last event', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      const events = [rig.open(0, CALLSTACK), rig.open(0, CALLSTACK)];
      const first = blockOf(rig, 0);
      expect([version, first]).toEqual([version, 1]);
      rig.close(events[0]);
      expect([version, blockOf(rig, 0)]).toEqual([version, first]);
      rig.close(events[1]);
      expect([version, blockOf(rig, 0)]).toEqual([version, version === '6.1' ? first : 0]);
    }
  });

  it('6.12 keeps it for an event that needs none, and 7.3 does not', () => {
    for (const [version, kept] of [
      ['6.12', 1],
      ['7.3', 0],
    ] as const) {
      const rig = new Rig({ version });
      rig.open(0, ANY);
      rig.close(rig.open(0, CALLSTACK));
      expect([version, blockOf(rig, 0)]).toEqual([version, kept]);
    }
  });

  it('what was freed last is handed out first, all zero, once nobody can hold it', () => {
    const rig = new Rig({ version: '7.3' });
    const events = [0, 1, 2].map((task) => rig.open(task, CALLSTACK));
    expect([0, 1, 2].map((task) => taskData(rig.kernel, task))).toEqual([1, 2, 3]);
    rig.kernel.data[1].log_id = 7;
    rig.cpu = rig.kernel.cpus[1];
    rig.close(events[1]);
    // The grace period is not over.
    rig.open(1, CALLSTACK);
    expect(taskData(rig.kernel, 1)).toBe(4);
    endGracePeriod(rig.kernel);
    rig.cpu = rig.kernel.cpus[0];
    rig.close(events[0]);
    endGracePeriod(rig.kernel);
    rig.open(0, CALLSTACK);
    expect([taskData(rig.kernel, 0), rig.kernel.data[0].log_id]).toEqual([1, 0]);
    const child = rig.fork();
    rig.open(child, CALLSTACK);
    expect([taskData(rig.kernel, child), rig.kernel.data[1].log_id]).toEqual([2, 0]);
  });

  it('an event that the driver refuses frees what another one uses, in 7.3 alone', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      const event = rig.open(0, CALLSTACK);
      expect(refused(rig, 0)).toBe(-perf.EINVAL);
      expect([version, blockOf(rig, 0)]).toEqual([version, version === '7.3' ? 0 : 1]);
      rig.close(event);
      expect([version, rig.idle()]).toEqual([version, true]);
    }
    const rig = new Rig({ version: '7.3' });
    rig.open(0, CALLSTACK);
    rig.open(0, CALLSTACK);
    refused(rig, 0);
    expect([refcount(rig, 0), blockOf(rig, 0)]).toEqual([1, 1]);
    // A system-wide one has not said where it is attached, and an event of rings needs no space.
    refused(rig, -1);
    syscall.perf_event_open(rig.cpu, 5, 0, 0, perf.PERF_SAMPLE_BRANCH_USER);
    expect([refcount(rig, 0), blockOf(rig, 0)]).toEqual([1, 1]);
  });

  it('there is no room for a system-wide event without a block for every task', () => {
    const rig = new Rig({ version: '7.3' });
    const { kernel } = rig;
    expect([hasRoom(kernel, -1), hasRoom(kernel, 0)]).toEqual([true, true]);
    const taken = kernel.ctxData.length - kernel.tasks.length;
    for (let i = 0; i <= taken; i++) kernel.ctxData[i].life = 1;
    expect([hasRoom(kernel, -1), hasRoom(kernel, 0)]).toEqual([false, true]);
    for (const block of kernel.ctxData) block.life = 1;
    expect(hasRoom(kernel, 0)).toBe(false);
    const old = new Rig({ version: '6.12' });
    for (let i = 0; i <= taken; i++) old.kernel.ctxData[i].life = 1;
    expect(hasRoom(old.kernel, -1)).toBe(true);
  });
});

describe('system-wide call stacks, 7.3', () => {
  it('the first event gives every task a block, and the last one takes its share back', () => {
    const rig = new Rig({ version: '7.3' });
    rig.open(1, CALLSTACK);
    const events = [rig.open(-1, CALLSTACK), rig.open(-1, CALLSTACK)];
    const held = (): number[] => [0, 1, 2].map((task) => blockOf(rig, task));
    expect(held()).toEqual([2, 1, 3]);
    expect([0, 1, 2].map((task) => refcount(rig, task))).toEqual([1, 2, 1]);
    const child = rig.fork();
    expect([blockOf(rig, child), refcount(rig, child)]).toEqual([4, 1]);
    rig.close(events[0]);
    expect(held()).toEqual([2, 1, 3]);
    rig.close(events[1]);
    expect([...held(), blockOf(rig, child)]).toEqual([0, 1, 0, 0]);
    expect(rig.kernel.ctxData[0].global).toBe(0);
  });

  it('a block that is handed out again is no system-wide event’s any more', () => {
    const rig = new Rig({ version: '7.3' });
    const event = rig.open(-1, CALLSTACK);
    // The driver refuses an event of task 0, which gives the reference of the other one back.
    refused(rig, 0);
    expect(blockOf(rig, 0)).toBe(0);
    rig.open(0, CALLSTACK);
    const block = blockOf(rig, 0);
    expect(block).toBe(1);
    rig.close(event);
    expect([blockOf(rig, 0), refcount(rig, 0)]).toEqual([block, 1]);
  });

  it('a task that has exited, or never was, gets none', () => {
    const rig = new Rig({ version: '7.3' });
    exit(rig, 2);
    rig.open(-1, CALLSTACK);
    expect(rig.kernel.tasks.map(({ id }) => taskData(rig.kernel, id) !== 0)).toEqual(
      rig.kernel.tasks.map(({ id }) => id === 1 || id === 2),
    );
  });

  it('a child that inherits an event has one reference more', () => {
    const rig = new Rig({ version: '7.3' });
    rig.open(0, CALLSTACK, ATTR_INHERIT);
    rig.open(-1, CALLSTACK);
    const child = rig.fork();
    expect([refcount(rig, 0), refcount(rig, child)]).toEqual([2, 2]);
    expect(rig.kernel.ctxData[blockOf(rig, child) - 1].global).toBe(1);
    const alone = new Rig({ version: '7.3' });
    alone.open(0, CALLSTACK, ATTR_INHERIT);
    const own = alone.fork();
    expect([refcount(alone, own), alone.kernel.ctxData[blockOf(alone, own) - 1].global]).toEqual([
      1, 0,
    ]);
  });

  it('the records of a task that has no event are saved, and up to 6.14 they are wiped', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      rig.open(-1, CALLSTACK);
      expect(rig.kernel.statics.lbr_callstack_users).toBe(version === '7.3' ? 1 : 0);
      rig.port.set(msrs.MSR_LBR_TOS, 1);
      rig.port.set(msrs.MSR_LBR_NHM_FROM + 1, 0x500);
      rig.take();
      rig.switchTo(2);
      const log = rig.take();
      expect([version, log.includes('r FROM1')]).toEqual([version, version === '7.3']);
      expect([version, log.includes('w FROM1 0')]).toEqual([version, true]);
      rig.switchTo(0);
      expect([version, rig.take().includes('w FROM1 500')]).toEqual([version, version === '7.3']);
    }
  });
});

describe('users of call stacks', () => {
  it('up to 6.14 they go with the context in a clone swap, and in 7.3 they stay', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      rig.open(0, CALLSTACK, ATTR_INHERIT);
      const child = rig.fork();
      rig.switchTo(child);
      const users = [usersOf(rig, 0), usersOf(rig, child)];
      expect([version, users]).toEqual([version, version === '7.3' ? [1, 0] : [0, 1]]);
    }
  });

  it('in 7.3 an event of the CPU counts for all tasks, and one of a task for its own', () => {
    const rig = new Rig({ version: '7.3' });
    const { statics } = rig.kernel;
    const own = rig.open(0, CALLSTACK);
    const all = rig.open(-1, CALLSTACK);
    expect([usersOf(rig, 0), statics.lbr_callstack_users]).toEqual([1, 1]);
    rig.close(all);
    expect([usersOf(rig, 0), statics.lbr_callstack_users]).toEqual([1, 0]);
    rig.disable(own);
    expect(usersOf(rig, 0)).toBe(0);
  });
});

describe('PMU contexts, 6.2 and later', () => {
  it('to disable an event turns the PMU off and on, though it does not count', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      const event = rig.open(2, CALLSTACK);
      rig.take();
      rig.disable(event);
      const log = version === '6.1' ? [] : [CTRL_OFF, CTRL_ON];
      expect([version, rig.take()]).toEqual([version, log]);
    }
  });

  it('the part of a CPU goes with its last event in 6.12, and stays in 7.3', () => {
    for (const [version, refs] of [
      ['6.1', 0],
      ['6.12', 0],
      ['7.3', 1],
    ] as const) {
      const rig = new Rig({ version });
      const event = rig.open(-1, ANY);
      expect([version, rig.cpu.ctx.pmu_ctx_refs > 0]).toEqual([version, version !== '6.1']);
      rig.close(event);
      expect([version, rig.cpu.ctx.pmu_ctx_refs]).toEqual([version, refs]);
    }
  });

  it('where a task has no event for the CPU, the stack that it has saved stays from 6.2 on', () => {
    const states = ALL.map((version) => {
      const rig = new Rig({ version });
      const [here, there] = rig.kernel.cpus;
      rig.open(0, CALLSTACK, ATTR_BOUND);
      const block = rig.kernel.data[taskData(rig.kernel, 0) - 1];
      rig.switchTo(2);
      expect([version, block.lbr_stack_state]).toEqual([version, perf.LBR_VALID]);
      rig.cpu = there;
      rig.open(-1, CALLSTACK);
      rig.switchTo(0);
      rig.switchTo(1);
      rig.cpu = here;
      return block.lbr_stack_state;
    });
    // In 6.1 the task's context is all that is asked for.
    expect(states).toEqual([perf.LBR_NONE, perf.LBR_VALID, perf.LBR_VALID]);
  });

  it('a switch calls back where the task has no event for this CPU', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      rig.open(-1, ANY);
      rig.cpu = rig.kernel.cpus[1];
      const bound = rig.create(2, ANY, ATTR_BOUND);
      expect(bound.cpu).toBe(1);
      const ctx = rig.kernel.ctx(bound.ctx);
      ctx.setEvent(0, bound.id);
      ctx.nr_events = 1;
      rig.cpu = rig.kernel.cpus[0];
      rig.take();
      rig.switchTo(2);
      expect([version, bound.state]).toEqual([version, perf.PERF_EVENT_STATE_INACTIVE]);
      // In 6.1 the task's context is all that is asked for.
      const wiped = RESET.map((line) => rig.port.log.filter((one) => one === line).length);
      expect([version, wiped]).toEqual([version, RESET.map(() => 1)]);
      rig.take();
      rig.switchTo(0);
      const { task_ctx, task_epc } = rig.cpu.cpuctx;
      expect([version, task_ctx, task_epc]).toEqual([version, 0, 0]);
    }
  });
});

describe('perf_event_exit_task', () => {
  it('an exit takes the events out and saves nothing', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      const own = rig.open(0, CALLSTACK);
      rig.port.set(msrs.MSR_IA32_DEBUGCTLMSR, msrs.DEBUGCTLMSR_LBR);
      rig.take();
      tasks.perf_event_exit_task(rig.cpu);
      expect([version, rig.take().some((line) => /^[rw] (FROM|TOS)/.test(line))]).toEqual([
        version,
        false,
      ]);
      expect([own.state, own.used, rig.idle()]).toEqual([perf.PERF_EVENT_STATE_EXIT, 1, true]);
      expect(rig.kernel.tasks[0].perf_event_ctxp).toBe(0);
    }
  });

  it('the context lives as long as an event or a clone refers to it', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      const own = rig.open(0, CALLSTACK, ATTR_INHERIT);
      const id = rig.ctxOf(0);
      const child = rig.fork();
      exit(rig, child);
      rig.close(own);
      endGracePeriod(rig.kernel);
      // The child's context is a clone of it.
      expect([version, rig.kernel.contexts[id].used]).toEqual([version, 1]);
      rig.open(child, CALLSTACK);
      endGracePeriod(rig.kernel);
      expect([version, rig.kernel.contexts[id].used]).toEqual([version, 0]);
    }
  });

  it('a clone that exits lets the context go that it is a clone of', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      const own = rig.open(0, CALLSTACK, ATTR_INHERIT);
      const parent = rig.ctxOf(0);
      const child = rig.fork();
      const clone = rig.ctxOf(child);
      rig.close(own);
      exit(rig, child);
      exit(rig, 2);
      expect([version, rig.kernel.contexts[parent].used]).toEqual([version, 0]);
      expect([version, rig.kernel.contexts[clone].used]).toEqual([version, 0]);
    }
  });

  it('the context of a task that has exited goes with the last event that was opened', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      const own = rig.open(0, CALLSTACK);
      const at = rig.ctxOf(0);
      exit(rig, 2);
      expect([version, rig.kernel.contexts[at].used]).toEqual([version, 1]);
      rig.close(own);
      endGracePeriod(rig.kernel);
      expect([version, rig.kernel.contexts[at].used]).toEqual([version, 0]);
    }
  });

  it('an inherited event is bound to the CPU of its parent', () => {
    const rig = new Rig();
    rig.open(0, CALLSTACK, ATTR_INHERIT | ATTR_BOUND);
    rig.open(0, ANY, ATTR_INHERIT);
    rig.fork();
    const children = rig.kernel.events.filter(({ parent }) => parent !== 0);
    const bound = children.map(({ cpu, attr }) => [cpu, attr & ATTR_BOUND]);
    expect(bound.toSorted()).toEqual([
      [-1, 0],
      [0, ATTR_BOUND],
    ]);
  });

  it('an inherited event goes with its task, and its block with it', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      rig.open(0, CALLSTACK, ATTR_INHERIT);
      // With an event that is not inherited, the contexts are no clones, and are not swapped.
      rig.open(0, CALLSTACK);
      const child = rig.fork();
      const block = blockOf(rig, child);
      rig.switchTo(child);
      const at = rig.ctxOf(child);
      exit(rig, 2);
      const alive = rig.kernel.events.filter(({ used }) => used !== 0);
      expect([version, alive.map(({ parent }) => parent)]).toEqual([version, [0, 0]]);
      expect([version, rig.kernel.contexts[at].used]).toEqual([version, 0]);
      expect([version, rig.kernel.ctxData[block - 1].life]).not.toEqual([version, 1]);
    }
  });

  it('in 7.3 an exit gives back one reference, whosever it is', () => {
    const rig = new Rig({ version: '7.3' });
    rig.open(0, CALLSTACK);
    rig.open(0, CALLSTACK);
    tasks.perf_event_exit_task(rig.cpu);
    expect(refcount(rig, 0)).toBe(1);
  });
});

describe('perf_event_exec', () => {
  it('an exec enables what waits for it, once, and unclones the context', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      const waits = rig.open(0, CALLSTACK, ATTR_DISABLED | ATTR_ENABLE_ON_EXEC | ATTR_INHERIT);
      const off = rig.open(0, CALLSTACK, ATTR_DISABLED | ATTR_INHERIT);
      const child = rig.fork();
      rig.switchTo(child);
      tasks.perf_event_exec(rig.cpu);
      const copy = rig.kernel.events.find(({ parent }) => parent === waits.id + 1) as perf_event;
      const counts = [waits, off, copy].map(({ state }) => state);
      expect([version, counts.filter((s) => s === perf.PERF_EVENT_STATE_ACTIVE)]).toEqual([
        version,
        [perf.PERF_EVENT_STATE_ACTIVE],
      ]);
      expect(rig.kernel.contexts[rig.ctxOf(child)].parent_ctx).toBe(0);
      // They are no clones any more, so a switch swaps nothing.
      const at = rig.ctxOf(child);
      rig.switchTo(0);
      expect([version, rig.ctxOf(child)]).toEqual([version, at]);
      rig.switchTo(child);
      const on = [waits, copy].find(({ state }) => state === perf.PERF_EVENT_STATE_ACTIVE);
      expect((on?.attr ?? -1) & ATTR_ENABLE_ON_EXEC).toBe(0);
      rig.disable(on as perf_event);
      rig.take();
      tasks.perf_event_exec(rig.cpu);
      expect(rig.take()).toEqual([]);
    }
  });
});

describe('perf_event_task_tick', () => {
  it('a tick turns the PMU off and on for each context with a frequency that counts', () => {
    const rig = new Rig();
    rig.open(0, ANY);
    rig.open(-1, ANY, ATTR_FREQ | ATTR_DISABLED);
    rig.take();
    tasks.perf_event_task_tick(rig.cpu);
    expect(rig.take()).toEqual([]);
    rig.open(0, ANY, ATTR_FREQ);
    rig.open(-1, ANY, ATTR_FREQ);
    rig.take();
    tasks.perf_event_task_tick(rig.cpu);
    expect(rig.take().filter((line) => line === CTRL_OFF)).toHaveLength(2);
  });
});

describe('intel_pmu_snapshot_branch_stack', () => {
  it('a snapshot stops the records, reads them, and leaves the PMU on', () => {
    const rig = new Rig();
    rig.open(0, CALLSTACK);
    rig.port.set(msrs.MSR_LBR_TOS, 0);
    rig.port.set(msrs.MSR_LBR_NHM_FROM, 0x500);
    rig.port.set(msrs.MSR_IA32_DEBUGCTLMSR, msrs.DEBUGCTLMSR_LBR);
    rig.take();
    intel_pmu_snapshot_branch_stack(rig.cpu);
    const log = rig.take();
    expect(log.slice(0, 4)).toEqual([CTRL_OFF, 'r DEBUGCTL', 'w DEBUGCTL 0', 'r TOS']);
    expect(log.slice(-3)).toEqual(steps('r DEBUGCTL', 'w DEBUGCTL 1', CTRL_ON));
    // Nobody asks for it, and it turns LBR off all the same, and the PMU on.
    const bare = new Rig();
    bare.port.set(msrs.MSR_IA32_DEBUGCTLMSR, msrs.DEBUGCTLMSR_LBR);
    intel_pmu_snapshot_branch_stack(bare.cpu);
    expect(bare.take()).toEqual([CTRL_OFF, 'r DEBUGCTL', 'w DEBUGCTL 0', CTRL_ON]);
  });
});
