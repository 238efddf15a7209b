/**
 * Which actions a machine can perform now, and how. One rule for each action says when it is
 * possible; generation, replay and shrinking all ask it, so none of them can drift.
 */
import { freeEvent, freeTask, inheritedEvents } from '../guest/perf/events_syscall.js';
import type { Cpu } from '../guest/perf/kernel.js';
import * as perf from '../guest/perf/perf_event.js';
import type { perf_event } from '../guest/perf/perf_structs.js';
import * as branch from '../hw/branch.js';
import { ModelInvariantError } from '../hw/assert.js';
import { ACTION_NAMES, ACTIONS, KIND } from './actions.js';
import { HOST_EVENT_TASK, HOST_EVENTS } from '../machine/host_perf.js';
import type { Machine } from '../machine/machine.js';

/** Whether the actor of an action kind is a vCPU (1) or a pCPU (0). */
export const IS_VCPU: Uint8Array = Uint8Array.from(ACTION_NAMES, (name) =>
  ACTIONS[name].actor === 'vcpu' ? 1 : 0,
);

const CALL_KINDS = [branch.BRANCH_REL_CALL, branch.BRANCH_IND_CALL, branch.BRANCH_ZERO_CALL];
const JMP_KINDS = [branch.BRANCH_REL_JMP, branch.BRANCH_IND_JMP];
const ENTER_KINDS = [branch.BRANCH_SYSCALL, branch.BRANCH_IRQ];

/** Whether the vCPU runs and is not in the middle of something that has to go on first. */
function ready(m: Machine, v: number): boolean {
  return m.vcpus[v].pcpu >= 0 && m.ports[v].suspended === 0 && !m.booting(v);
}

/** Tasks of a vCPU's VM that suspended functions hold. */
export function lockedTasks(m: Machine, v: number): number {
  const { vm } = m.vcpus[v];
  let mask = 0;
  for (const other of m.vcpus) if (other.vm === vm) mask |= m.ports[other.id].lockedTasks;
  return mask;
}

/** Whether a task could be switched to: alive, not running, and not held. */
export function canSwitchTo(m: Machine, v: number, task: number): boolean {
  const t = m.cpu(v).kernel.tasks[task];
  if (t === undefined || t.alive === 0 || t.on_cpu !== 0) return false;
  return (lockedTasks(m, v) & (1 << task)) === 0;
}

/** Whether an event's task can be told of a change from this CPU: it runs here, or nowhere. */
function reachable(m: Machine, v: number, cpu: Cpu, event: perf_event): boolean {
  const { task } = cpu.kernel.ctx(event.ctx);
  if (task === 0) return event.cpu === cpu.id;
  if (task - 1 === cpu.cpuctx.current) return true;
  return canSwitchTo(m, v, task - 1);
}

/** Whether an event, and all inherited from it, can be changed from this CPU. */
function familyReachable(m: Machine, v: number, id: number): boolean {
  const cpu = m.cpu(v);
  const event = cpu.kernel.events[id];
  if (event === undefined || event.used === 0 || event.parent !== 0) return false;
  for (const e of cpu.kernel.events) {
    const inFamily = e.id === id || e.parent === id + 1;
    if (e.used !== 0 && inFamily && !reachable(m, v, cpu, e)) return false;
  }
  return true;
}

/** Whether the event counts on this vCPU, so that its counter can overflow. */
function counting(m: Machine, v: number, id: number): boolean {
  const cpu = m.cpu(v);
  const event = cpu.kernel.events[id];
  if (event === undefined || event.state !== perf.PERF_EVENT_STATE_ACTIVE) return false;
  if (event.oncpu !== cpu.id || event.idx === perf.IDX_UNASSIGNED) return false;
  return cpu.cpuc.events(event.idx) === id + 1 && m.vcpus[v].global_ctrl !== 0;
}

function canOpen(m: Machine, v: number, task: number): boolean {
  const cpu = m.cpu(v);
  if (freeEvent(cpu.kernel) < 0) return false;
  return task < 0 || task === cpu.cpuctx.current || canSwitchTo(m, v, task);
}

function canFork(m: Machine, v: number): boolean {
  const { kernel, cpuctx } = m.cpu(v);
  if (freeTask(kernel) < 0) return false;
  let free = 0;
  for (const event of kernel.events) if (event.used === 0) free++;
  return inheritedEvents(kernel, cpuctx.current) <= free;
}

/** A kexec stops the other CPUs of the VM wherever they are, but not inside a kernel function. */
function canKexec(m: Machine, v: number): boolean {
  const { vm } = m.vcpus[v];
  return m.vcpus.every((other) => other.vm !== vm || m.ports[other.id].suspended === 0);
}

function canHostEvent(m: Machine, p: number, which: number, op: number): boolean {
  if (which < 0 || which >= HOST_EVENTS || op < 0 || op > 2) return false;
  if (which === HOST_EVENT_TASK && m.loaded(p) === null) return false;
  const state = m.host.hostEventState(p, which);
  if (op === 0) return state !== 'on';
  return op === 1 ? state === 'on' : state !== 'none';
}

function canRun(m: Machine, p: number, v: number, after: number): boolean {
  const vcpu = m.vcpus[v];
  if (vcpu === undefined || vcpu.pcpu >= 0) return false;
  return after === 0 || (m.loaded(p) !== null && !m.isArmed(p));
}

/** A context switch is called a migration when the task last ran on another vCPU. */
function canTaskSwitch(m: Machine, v: number, task: number, migration: boolean): boolean {
  if (!canSwitchTo(m, v, task)) return false;
  const cpu = m.cpu(v);
  return (cpu.kernel.tasks[task].cpu !== cpu.id) === migration;
}

/** Whether a guest action that needs a ready vCPU is possible. */
function canGuest(m: Machine, kind: number, v: number, a: number, b: number): boolean {
  switch (kind) {
    case KIND.call:
      return a >= 1 && CALL_KINDS[b] !== undefined;
    case KIND.jmp:
      return a >= 1 && JMP_KINDS[b] !== undefined;
    case KIND.ret:
    case KIND.jcc:
      return a >= 1;
    case KIND.enter:
      return m.cpl(v) === 3 && ENTER_KINDS[a] !== undefined;
    case KIND.leave:
      return m.cpl(v) === 0;
    case KIND.taskSwitch:
      return canTaskSwitch(m, v, a, false);
    case KIND.migrateTask:
      return canTaskSwitch(m, v, a, true);
    case KIND.fork:
      return canFork(m, v);
    case KIND.open:
      return canOpen(m, v, a);
    case KIND.enable:
      return familyReachable(m, v, a) && isOff(m, v, a);
    case KIND.disable:
      return familyReachable(m, v, a) && !isOff(m, v, a);
    case KIND.close:
      return familyReachable(m, v, a);
    case KIND.pmi:
      return counting(m, v, a) && !m.ports[v].nmiArmed;
    case KIND.kexec:
      return canKexec(m, v);
    default:
      return true;
  }
}

function isOff(m: Machine, v: number, event: number): boolean {
  return m.cpu(v).kernel.events[event].state < perf.PERF_EVENT_STATE_INACTIVE;
}

/** Whether the machine can perform this action now. */
export function canPerform(m: Machine, kind: number, actor: number, a: number, b: number): boolean {
  const actors = IS_VCPU[kind] === 1 ? m.vcpus.length : m.pcpus.length;
  if (actor < 0 || actor >= actors) return false;
  switch (kind) {
    case KIND.run:
      return canRun(m, actor, a, b);
    case KIND.idle:
      return m.loaded(actor) !== null && (a === 0 || !m.isArmed(actor));
    case KIND.exit:
      return m.loaded(actor) !== null;
    case KIND.hostEvent:
      return canHostEvent(m, actor, a, b);
    case KIND.hostWork:
      return a >= 1;
    case KIND.cstate:
      return m.loaded(actor) === null;
    case KIND.liveMigrate:
      return m.vcpus[actor].pcpu < 0;
    case KIND.resume:
      return m.vcpus[actor].pcpu >= 0 && m.ports[actor].suspended !== 0;
    case KIND.boot:
      return m.vcpus[actor].pcpu >= 0 && m.ports[actor].suspended === 0 && m.booting(actor);
    default:
      return ready(m, actor) && canGuest(m, kind, actor, a, b);
  }
}

/** Performs an action that `canPerform` allows. */
export function perform(
  m: Machine,
  kind: number,
  actor: number,
  a: number,
  b: number,
  c: number,
): void {
  switch (kind) {
    case KIND.call:
      return m.branches(actor, CALL_KINDS[b], a);
    case KIND.ret:
      return m.branches(actor, branch.BRANCH_RET, a);
    case KIND.jmp:
      return m.branches(actor, JMP_KINDS[b], a);
    case KIND.jcc:
      return m.branches(actor, branch.BRANCH_JCC, a);
    case KIND.enter:
      return m.enterKernel(actor, ENTER_KINDS[a]);
    case KIND.leave:
      return m.leaveKernel(actor, branch.BRANCH_IRET);
    case KIND.taskSwitch:
    case KIND.migrateTask:
      return m.switchTask(actor, a);
    case KIND.fork:
      return m.fork(actor);
    case KIND.open:
      m.open(actor, a, b, c);
      return;
    case KIND.enable:
      return m.enable(actor, a);
    case KIND.disable:
      return m.disable(actor, a);
    case KIND.close:
      return m.close(actor, a);
    case KIND.pmi:
      return m.pmi(actor, a, b);
    case KIND.rdmsr:
      return m.rdmsr(actor, a);
    case KIND.wrmsr:
      return m.wrmsr(actor, a, b, c);
    case KIND.halt:
      return m.switchTo(m.vcpus[actor].pcpu, -1);
    case KIND.kexec:
      return m.kexec(actor);
    case KIND.boot:
      return m.startCpu(actor);
    case KIND.resume:
      return m.resume(actor);
    case KIND.run:
      return b === 0 ? m.switchTo(actor, a) : m.arm(actor, a, b - 1);
    case KIND.idle:
      return a === 0 ? m.switchTo(actor, -1) : m.arm(actor, -1, a - 1);
    case KIND.exit:
      return m.exitAndEnter(actor);
    case KIND.hostEvent:
      return m.hostEvent(actor, a, b);
    case KIND.hostWork:
      return m.hostWork(actor, a);
    case KIND.cstate:
      return m.cstate(actor);
    case KIND.liveMigrate:
      return m.liveMigrate(actor);
    default:
      throw new ModelInvariantError(`no action of kind ${kind}`);
  }
}
