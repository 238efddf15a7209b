/**
 * Which actions a machine can perform now, and how. One rule for each action says when it is
 * possible; generation, replay and shrinking all ask it, so none of them can drift.
 */
import { freeEvent, freeTask, inheritedEvents } from '../guest/perf/events_syscall.js';
import type { Cpu } from '../guest/perf/kernel.js';
import * as perf from '../guest/perf/perf_event.js';
import type { perf_event } from '../guest/perf/perf_structs.js';
import * as branch from '../hw/branch.js';
import { unreachable } from '../hw/assert.js';
import type { ActionName } from './actions.js';
import { ACTION_NAMES, ACTIONS } from './actions.js';
import { HOST_EVENT_TASK } from './host_perf.js';
import type { Machine } from './machine.js';

/** Number of an action kind, its index in ACTION_NAMES. */
export function kindOf(name: ActionName): number {
  return ACTION_NAMES.indexOf(name);
}

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
function canGuest(m: Machine, name: ActionName, v: number, a: number, b: number): boolean {
  switch (name) {
    case 'call':
      return a >= 1 && CALL_KINDS[b] !== undefined;
    case 'jmp':
      return a >= 1 && JMP_KINDS[b] !== undefined;
    case 'ret':
    case 'jcc':
      return a >= 1;
    case 'enter':
      return m.cpl(v) === 3 && ENTER_KINDS[a] !== undefined;
    case 'leave':
      return m.cpl(v) === 0;
    case 'taskSwitch':
      return canTaskSwitch(m, v, a, false);
    case 'migrateTask':
      return canTaskSwitch(m, v, a, true);
    case 'fork':
      return canFork(m, v);
    case 'open':
      return canOpen(m, v, a);
    case 'enable':
      return familyReachable(m, v, a) && isOff(m, v, a);
    case 'disable':
      return familyReachable(m, v, a) && !isOff(m, v, a);
    case 'close':
      return familyReachable(m, v, a);
    case 'pmi':
      return counting(m, v, a) && !m.ports[v].nmiArmed;
    case 'kexec':
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
  const name = ACTION_NAMES[kind];
  const actors = ACTIONS[name].actor === 'vcpu' ? m.vcpus.length : m.pcpus.length;
  if (actor < 0 || actor >= actors) return false;
  switch (name) {
    case 'run':
      return canRun(m, actor, a, b);
    case 'idle':
      return m.loaded(actor) !== null && (a === 0 || !m.isArmed(actor));
    case 'exit':
      return m.loaded(actor) !== null;
    case 'hostEvent':
      return canHostEvent(m, actor, a, b);
    case 'hostWork':
      return a >= 1;
    case 'cstate':
      return m.loaded(actor) === null;
    case 'liveMigrate':
      return m.vcpus[actor].pcpu < 0;
    case 'resume':
      return m.vcpus[actor].pcpu >= 0 && m.ports[actor].suspended !== 0;
    case 'boot':
      return m.vcpus[actor].pcpu >= 0 && m.ports[actor].suspended === 0 && m.booting(actor);
    default:
      return ready(m, actor) && canGuest(m, name, actor, a, b);
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
  const name = ACTION_NAMES[kind];
  switch (name) {
    case 'call':
      return m.branches(actor, CALL_KINDS[b], a);
    case 'ret':
      return m.branches(actor, branch.BRANCH_RET, a);
    case 'jmp':
      return m.branches(actor, JMP_KINDS[b], a);
    case 'jcc':
      return m.branches(actor, branch.BRANCH_JCC, a);
    case 'enter':
      return m.enterKernel(actor, ENTER_KINDS[a]);
    case 'leave':
      return m.leaveKernel(actor, branch.BRANCH_IRET);
    case 'taskSwitch':
    case 'migrateTask':
      return m.switchTask(actor, a);
    case 'fork':
      return m.fork(actor);
    case 'open':
      m.open(actor, a, b, c);
      return;
    case 'enable':
      return m.enable(actor, a);
    case 'disable':
      return m.disable(actor, a);
    case 'close':
      return m.close(actor, a);
    case 'pmi':
      return m.pmi(actor, a, b);
    case 'rdmsr':
      return m.rdmsr(actor, a);
    case 'wrmsr':
      return m.wrmsr(actor, a, b, c);
    case 'halt':
      return m.switchTo(m.vcpus[actor].pcpu, -1);
    case 'kexec':
      return m.kexec(actor);
    case 'boot':
      return m.startCpu(actor);
    case 'resume':
      return m.resume(actor);
    case 'run':
      return b === 0 ? m.switchTo(actor, a) : m.arm(actor, a, b - 1);
    case 'idle':
      return a === 0 ? m.switchTo(actor, -1) : m.arm(actor, -1, a - 1);
    case 'exit':
      return m.exitAndEnter(actor);
    case 'hostEvent':
      return m.hostEvent(actor, a, b);
    case 'hostWork':
      return m.hostWork(actor, a);
    case 'cstate':
      return m.cstate(actor);
    case 'liveMigrate':
      return m.liveMigrate(actor);
    default:
      return unreachable(name);
  }
}
