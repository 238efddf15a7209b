/**
 * A small protocol for comparing model checkers: one physical CPU with an LBR stack, two VMs of two
 * tasks each, a paravirtual ACTIVE bit for each VM, and a host. On a switch the host saves and
 * restores the stack if ACTIVE is set, and resets it otherwise. lbr.pml (SPIN), Lbr.tla (TLC) and
 * lbr.m (Murphi) have the same transition relation.
 *
 * A state is eight words: the control bits, the stack, the host's image of the stack for each VM,
 * and the saved call stack of each task. A stack entry has three bits: one marks it as used, two
 * name the task that made it (2 * VM + task). The newest entry is in the lowest bits.
 */
import type { Invariant, Model } from '../../src/search/model.js';

export const PROTOCOL_ACTIONS = [
  'task switch',
  'branch',
  'enable plain',
  'enable callstack',
  'finish',
  'disable',
  'vCPU switch',
] as const;
const [TASK_SWITCH, BRANCH, ENABLE_PLAIN, ENABLE_CALLSTACK] = [0, 1, 2, 3];
const [FINISH, DISABLE, VCPU_SWITCH] = [4, 5, 6];

const [CONTROL, LBR, HOST_IMAGE, SAVED] = [0, 1, 2, 4];
const WORDS = 8;

/** Bit positions in the control word, for VM or task 0. The next VM or task follows above. */
const CT = 1;
const ACTIVE = 3;
const PEND = 5; // Two bits: 0 nothing, 1 or 2 enabling plain or callstack, 3 disabling.
const MODE = 9; // Two bits: 0 off, 1 plain, 2 callstack.
const IMAGE_VALID = 17;
const SAVED_VALID = 19;

/** The bit of each entry that marks it as used. */
const IN_USE = 0o4444444444;
const ALL_TASKS = 0o1111111111;

/** Fields of the control word: the current VM, the current task of a VM, and the state of both. */
const vmOf = (c: number): number => c & 1;
const taskOf = (c: number, vm: number): number => 2 * vm + ((c >> (CT + vm)) & 1);
const pendOf = (c: number, vm: number): number => (c >> (PEND + 2 * vm)) & 3;
const modeOf = (c: number, task: number): number => (c >> (MODE + 2 * task)) & 3;

function taskSwitch(s: Int32Array): void {
  let c = s[CONTROL];
  const vm = vmOf(c);
  const old = taskOf(c, vm);
  if (modeOf(c, old) === 2) {
    c |= 1 << (SAVED_VALID + old);
    s[SAVED + old] = s[LBR];
  }
  const task = old ^ 1;
  c ^= 1 << (CT + vm);
  const mode = modeOf(c, task);
  if (mode === 2 && ((c >> (SAVED_VALID + task)) & 1) !== 0) {
    s[LBR] = s[SAVED + task];
    s[SAVED + task] = 0;
    c &= ~(1 << (SAVED_VALID + task));
  } else if (mode !== 0) s[LBR] = 0;
  s[CONTROL] = c;
}

function enable(s: Int32Array, mode: number, bug: boolean): void {
  const c = s[CONTROL];
  const vm = vmOf(c);
  const pend = mode << (PEND + 2 * vm);
  if (bug) {
    s[CONTROL] = c | pend | (mode << (MODE + 2 * taskOf(c, vm)));
    s[LBR] = 0;
  } else s[CONTROL] = c | pend | (1 << (ACTIVE + vm));
}

function finish(s: Int32Array, bug: boolean): void {
  const c = s[CONTROL];
  const vm = vmOf(c);
  const pend = pendOf(c, vm);
  const rest = c & ~(3 << (PEND + 2 * vm));
  const active = 1 << (ACTIVE + vm);
  if (pend === 3) s[CONTROL] = ((c >> (MODE + 4 * vm)) & 15) !== 0 ? rest | active : rest & ~active;
  else if (bug) s[CONTROL] = rest | active;
  else {
    s[CONTROL] = rest | (pend << (MODE + 2 * taskOf(c, vm)));
    s[LBR] = 0;
  }
}

function disable(s: Int32Array): void {
  const c = s[CONTROL];
  const vm = vmOf(c);
  const task = taskOf(c, vm);
  const gone = (3 << (MODE + 2 * task)) | (1 << (SAVED_VALID + task));
  s[SAVED + task] = 0;
  s[CONTROL] = (c & ~gone) | (3 << (PEND + 2 * vm));
}

function vcpuSwitch(s: Int32Array, bug: boolean): void {
  let c = s[CONTROL];
  const vm = vmOf(c);
  const next = vm ^ 1;
  if (((c >> (ACTIVE + vm)) & 1) !== 0) {
    c |= 1 << (IMAGE_VALID + vm);
    s[HOST_IMAGE + vm] = s[LBR];
  }
  if (((c >> (ACTIVE + next)) & 1) !== 0) {
    s[LBR] = s[HOST_IMAGE + next];
    s[HOST_IMAGE + next] = 0;
    c &= ~(1 << (IMAGE_VALID + next));
  } else if (!bug) s[LBR] = 0;
  s[CONTROL] = c ^ 1;
}

function listActions(s: Int32Array, out: Int32Array): number {
  const c = s[CONTROL];
  const vm = vmOf(c);
  const on = modeOf(c, taskOf(c, vm)) !== 0;
  const idle = pendOf(c, vm) === 0;
  let n = 0;
  if (idle) out[n++] = TASK_SWITCH;
  if (on) out[n++] = BRANCH;
  if (idle && !on) {
    out[n++] = ENABLE_PLAIN;
    out[n++] = ENABLE_CALLSTACK;
  }
  if (!idle) out[n++] = FINISH;
  if (idle && on) out[n++] = DISABLE;
  out[n++] = VCPU_SWITCH;
  return n;
}

/** Renames the tasks in a stack, then the VMs. */
function renameStack(stack: number, tasks0: number, tasks1: number, vms: number): number {
  const used = stack & IN_USE;
  const ofVm1 = used & (stack << 1);
  const ofVm0 = used & ~ofVm1;
  return stack ^ ((ofVm0 >>> 2) & tasks0) ^ ((ofVm1 >>> 2) & tasks1) ^ ((used >>> 1) & vms);
}

/** Exchanges the `width` bits at `at` with the bits right above them. */
function swapBits(c: number, at: number, width: number): number {
  const differ = ((c >> at) ^ (c >> (at + width))) & ((1 << width) - 1);
  return c ^ (differ << at) ^ (differ << (at + width));
}

function swapWords(s: Int32Array, a: number, b: number): void {
  const word = s[a];
  s[a] = s[b];
  s[b] = word;
}

/** Renames so that the current VM is number 0, and the current task of each VM is number 0. */
function canonical(s: Int32Array): void {
  let c = s[CONTROL];
  if ((c & 7) === 0) return;
  const tasks0 = ((c >> CT) & 1) !== 0 ? ALL_TASKS : 0;
  const tasks1 = ((c >> (CT + 1)) & 1) !== 0 ? ALL_TASKS : 0;
  const vms = vmOf(c) !== 0 ? ALL_TASKS << 1 : 0;
  for (let k = LBR; k < WORDS; k++) {
    if (s[k] !== 0) s[k] = renameStack(s[k], tasks0, tasks1, vms);
  }
  if (tasks0 !== 0) {
    c = swapBits(swapBits(c, MODE, 2), SAVED_VALID, 1);
    swapWords(s, SAVED, SAVED + 1);
  }
  if (tasks1 !== 0) {
    c = swapBits(swapBits(c, MODE + 4, 2), SAVED_VALID + 2, 1);
    swapWords(s, SAVED + 2, SAVED + 3);
  }
  if (vms !== 0) {
    c = swapBits(swapBits(swapBits(c, ACTIVE, 1), PEND, 2), MODE, 4);
    c = swapBits(swapBits(c, IMAGE_VALID, 1), SAVED_VALID, 2);
    swapWords(s, HOST_IMAGE, HOST_IMAGE + 1);
    swapWords(s, SAVED, SAVED + 2);
    swapWords(s, SAVED + 1, SAVED + 3);
  }
  s[CONTROL] = c & ~7;
}

/** A task with LBR enabled sees only its own entries. */
function ownOnly(s: Int32Array): boolean {
  const c = s[CONTROL];
  const task = taskOf(c, vmOf(c));
  if (modeOf(c, task) === 0) return true;
  for (let stack = s[LBR]; stack !== 0; stack >>>= 3) {
    if ((stack & 4) !== 0 && (stack & 3) !== task) return false;
  }
  return true;
}

/**
 * @param depth - entries of the LBR stack, 1 to 10.
 * @param bug - ACTIVE is set only after LBR is on, and the host resets nothing.
 */
export function protocol(depth: number, bug: boolean): Model {
  const full = 2 ** (3 * depth) - 1;
  const invariants: readonly Invariant[] = [{ name: 'own-only', holds: ownOnly }];
  return {
    stateWords: WORDS,
    actionsMax: PROTOCOL_ACTIONS.length,
    invariants,
    init: (s: Int32Array): void => void s.fill(0),
    actions: listActions,
    canonical,
    apply(s: Int32Array, action: number): void {
      if (action === VCPU_SWITCH) vcpuSwitch(s, bug);
      else if (action === TASK_SWITCH) taskSwitch(s);
      else if (action === BRANCH) {
        const c = s[CONTROL];
        s[LBR] = ((s[LBR] << 3) | 4 | taskOf(c, vmOf(c))) & full;
      } else if (action === FINISH) finish(s, bug);
      else if (action === DISABLE) disable(s);
      else enable(s, action === ENABLE_PLAIN ? 1 : 2, bug);
    },
  };
}
