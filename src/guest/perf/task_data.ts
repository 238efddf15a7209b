/**
 * Models the life of the space in which lbr.c keeps the call stack of a task, and what lbr.c counts
 * there. Kernel: kernel/events/core.c, alloc_task_ctx_data() of 6.1 and 6.12;
 * attach_perf_ctx_data() and detach_perf_ctx_data() of 6.15 and later, where it is the task's.
 *
 * Memory comes from a slab: what was freed last is handed out first. A function may be left before
 * any MSR access, and others run meanwhile, so a block is free when no function is under way.
 */
import { assert } from '../../hw/assert.js';
import type { Cpu, Kernel } from './kernel.js';
import { PERF_SAMPLE_BRANCH_CALL_STACK } from './perf_event.js';
import {
  DROPPED_AT,
  GLOBAL_AT,
  GLOBAL_CTX_DATA_REF_AT,
  LBR_CALLSTACK_USERS_AT,
  type perf_event,
  type perf_event_context,
  REFCOUNT_AT,
  TASK_TOMBSTONE,
  USERS_AT,
  type x86_perf_task_context,
} from './perf_structs.js';

const DATA_USED = 1;
const DATA_FREE = 2;

/** Whether an event asks for space to keep its call stack in (PERF_ATTACH_TASK_DATA). */
export function needsTaskData(event: perf_event): boolean {
  return (event.branch_sample_type & PERF_SAMPLE_BRANCH_CALL_STACK) !== 0;
}

/** Whether there is a block for each task that one more event may give one; -1 is every task. */
export function hasRoom(kernel: Kernel, task: number): boolean {
  let free = 0;
  for (const { life } of kernel.ctxData) if (life !== DATA_USED) free++;
  return free >= (task < 0 && kernel.x86_pmu.perfCtxData ? kernel.tasks.length : 1);
}

/** Takes a block, all zero. Returns its number plus one. */
export function alloc_task_ctx_data(kernel: Kernel): number {
  const { ctxData, statics, layout } = kernel;
  const id =
    statics.free_data === 0 ? ctxData.findIndex(({ life }) => life === 0) : statics.free_data - 1;
  assert(id >= 0, 'there is a block for every task');
  if (statics.free_data !== 0) statics.free_data = ctxData[id].next;
  const { o } = kernel.data[id];
  kernel.words.fill(0, o, o + layout.dataWords);
  ctxData[id].life = DATA_USED;
  ctxData[id].next = 0;
  ctxData[id].global = 0;
  return id + 1;
}

/** Kernel: core.c:free_ctx(), of contexts whose task has exited and that nobody refers to. */
function freeContexts({ contexts, events, words, layout }: Kernel): void {
  for (const ctx of contexts) {
    if (ctx.task !== TASK_TOMBSTONE) continue;
    if (events.some((event) => event.used !== 0 && event.ctx === ctx.id + 1)) continue;
    if (contexts.some((clone) => clone.used !== 0 && clone.parent_ctx === ctx.id + 1)) continue;
    words.fill(0, ctx.o, ctx.o + layout.contextWords);
  }
}

/**
 * The end of a grace period: contexts and blocks that nobody refers to are free. No function is
 * under way.
 */
export function endGracePeriod(kernel: Kernel): void {
  const { statics, ctxData, contexts, tasks, words, layout } = kernel;
  if (statics.dropped === 0) return;
  statics.dropped = 0;
  freeContexts(kernel);
  for (const block of ctxData) {
    if (block.life !== DATA_USED) continue;
    const { id } = block;
    if (contexts.some((ctx) => ctx.task_ctx_data === id + 1)) continue;
    if (tasks.some((task) => words[layout.taskData + task.id] === id + 1)) continue;
    block.life = DATA_FREE;
    block.next = statics.free_data;
    statics.free_data = id + 1;
  }
}

/** Something lets a block or a context go. */
export function drop(cpu: Cpu): void {
  cpu.store(cpu.kernel.statics.o + DROPPED_AT, 1);
}

/** The block of a context that has no event left, or whose task has gone; up to 6.14. */
export function dropContextData(cpu: Cpu, ctx: perf_event_context): void {
  if (ctx.task_ctx_data === 0) return;
  ctx.task_ctx_data = 0;
  drop(cpu);
}

/** Where task->perf_ctx_data lies. */
function pointerAt({ layout }: Kernel, task: number): number {
  return layout.taskData + task;
}

/** Kernel: core.c:attach_task_ctx_data(). */
function attach_task_ctx_data(cpu: Cpu, task: number, global: boolean): void {
  const { kernel } = cpu;
  const at = pointerAt(kernel, task);
  if (kernel.words[at] === 0) kernel.words[at] = alloc_task_ctx_data(kernel);
  const data = kernel.ctxData[kernel.words[at] - 1];
  data.refcount++;
  if (global) data.global = 1;
}

/** Kernel: core.c:detach_task_ctx_data(). One reference goes, whose ever it is. */
export function detach_task_ctx_data(cpu: Cpu, task: number): void {
  const { kernel } = cpu;
  const at = pointerAt(kernel, task);
  const data = cpu.load(at);
  if (data === 0) return;
  const refcount = kernel.ctxData[data - 1].o + REFCOUNT_AT;
  const left = cpu.load(refcount) - 1;
  cpu.store(refcount, left);
  if (left > 0) return;
  cpu.store(at, 0);
  drop(cpu);
}

/** Threads that are there and do not exit. */
function eachThread({ tasks }: Kernel, visit: (task: number) => void): void {
  for (const { id, alive } of tasks) if (alive === 1) visit(id);
}

/** Kernel: core.c:attach_global_ctx_data(): the first system-wide event gives each task a block. */
function attach_global_ctx_data(cpu: Cpu): void {
  const { kernel } = cpu;
  if (kernel.statics.global_ctx_data_ref++ > 0) return;
  eachThread(kernel, (task) => attach_task_ctx_data(cpu, task, true));
}

/** Kernel: core.c:detach_global_ctx_data(), __detach_global_ctx_data(). */
function detach_global_ctx_data(cpu: Cpu): void {
  const { kernel } = cpu;
  const ref = kernel.statics.o + GLOBAL_CTX_DATA_REF_AT;
  const left = cpu.load(ref) - 1;
  cpu.store(ref, left);
  if (left > 0) return;
  eachThread(kernel, (task) => {
    const data = cpu.load(pointerAt(kernel, task));
    if (data === 0) return;
    const global = kernel.ctxData[data - 1].o + GLOBAL_AT;
    if (cpu.load(global) === 0) return;
    cpu.store(global, 0);
    detach_task_ctx_data(cpu, task);
  });
}

/** Kernel: core.c:attach_perf_ctx_data(), when an event is made. */
export function attach_perf_ctx_data(cpu: Cpu, event: perf_event): void {
  if (event.target === 0) attach_global_ctx_data(cpu);
  else attach_task_ctx_data(cpu, event.target - 1, false);
}

/** Kernel: core.c:detach_perf_ctx_data(), when an event is freed. */
export function detach_perf_ctx_data(cpu: Cpu, event: perf_event): void {
  if (event.target === 0) detach_global_ctx_data(cpu);
  else detach_task_ctx_data(cpu, event.target - 1);
}

/**
 * What __free_event() does for an event that the driver has refused, and that asks for space: the
 * driver has said so before it looked whether it can serve the event, so a reference of the task is
 * given back that was never taken. A system-wide event has not said where it is attached.
 */
export function detachRefused(cpu: Cpu, event: perf_event): void {
  if (event.target !== 0) detach_task_ctx_data(cpu, event.target - 1);
}

/** Kernel: core.c:perf_event_alloc_task_data(), at a fork. */
export function perf_event_alloc_task_data(cpu: Cpu, child: number, parent: number): void {
  const { kernel } = cpu;
  const { words, statics } = kernel;
  if (statics.global_ctx_data_ref === 0 || words[pointerAt(kernel, parent)] === 0) return;
  const own = words[pointerAt(kernel, child)];
  if (own === 0 || kernel.ctxData[own - 1].global === 0) attach_task_ctx_data(cpu, child, true);
}

/** The number of a task's block plus one, as no function is under way on its CPU; or 0. */
export function taskData(kernel: Kernel, task: number): number {
  if (kernel.x86_pmu.perfCtxData) return kernel.words[pointerAt(kernel, task)];
  const ctxp = kernel.tasks[task].perf_event_ctxp;
  return ctxp === 0 ? 0 : kernel.ctx(ctxp).task_ctx_data;
}

/** The block that goes with the callback of a task switch, plus one; or 0. */
export function switchedData(cpu: Cpu, ctx: perf_event_context | null): number {
  const { kernel, cpuctx } = cpu;
  if (kernel.x86_pmu.perfCtxData) return cpu.load(pointerAt(kernel, cpuctx.current));
  return ctx === null ? 0 : ctx.task_ctx_data;
}

/** Where the users of call-stack mode are counted that an event is one of, or -1: nowhere. */
function usersAt(cpu: Cpu, event: perf_event): number {
  const { kernel } = cpu;
  let data = 0;
  if (!kernel.x86_pmu.perfCtxData) data = kernel.ctx(event.ctx).task_ctx_data;
  else if (event.target === 0) return kernel.statics.o + LBR_CALLSTACK_USERS_AT;
  else data = cpu.load(pointerAt(kernel, event.target - 1));
  return data === 0 ? -1 : kernel.data[data - 1].o + USERS_AT;
}

/** Counts a user, of the task of an event or of all tasks; or one less. */
export function countUser(cpu: Cpu, event: perf_event, by: 1 | -1): void {
  const at = usersAt(cpu, event);
  if (at < 0) return;
  const { words, x86_pmu } = cpu.kernel;
  // Where two tasks have swapped contexts, the event counts for another task than its own.
  if (x86_pmu.perfCtxData) cpu.store(at, cpu.load(at) + by);
  else words[at] += by;
}

/** Kernel: lbr.c:has_lbr_callstack_users(). */
export function has_lbr_callstack_users(cpu: Cpu, ctx: x86_perf_task_context): boolean {
  const { x86_pmu, statics } = cpu.kernel;
  if (!x86_pmu.perfCtxData) return ctx.lbr_callstack_users !== 0;
  return cpu.load(ctx.o + USERS_AT) !== 0 || cpu.load(statics.o + LBR_CALLSTACK_USERS_AT) !== 0;
}
