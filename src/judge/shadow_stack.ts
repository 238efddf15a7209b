import type { History } from './check.js';

/**
 * The call stacks that the guests' tasks really have, kept apart from everything under test:
 * a call pushes its number, a return drops the last one. Only user-mode calls count.
 */
const CAPACITY = 64;

export class ShadowStacks {
  private readonly depths: Int32Array;
  private readonly frames: Int32Array;
  /** Frames below this depth were entered before tracking began, or were overwritten. */
  private readonly floors: Int32Array;
  private readonly limit: number;

  /**
   * @param stacks - number of stacks: tasks over all VMs.
   * @param limit - frames that hardware can hold at the most; at most 64.
   */
  constructor(stacks: number, limit: number) {
    this.depths = new Int32Array(stacks);
    this.floors = new Int32Array(stacks);
    this.frames = new Int32Array(stacks * CAPACITY);
    this.limit = limit;
  }

  clear(): void {
    this.depths.fill(0);
    this.floors.fill(0);
  }

  get histories(): History[] {
    return [
      { per: 'task', words: this.depths },
      { per: 'task', words: this.floors },
      { per: 'task', words: this.frames, holds: 'numbers' },
    ];
  }

  push(stack: number, seq: number): void {
    const depth = this.depths[stack];
    this.frames[stack * CAPACITY + (depth % CAPACITY)] = seq;
    this.depths[stack] = depth + 1;
    this.floors[stack] = Math.max(this.floors[stack], depth + 1 - this.limit);
  }

  /** A return from a frame that was entered before the machine started leaves nothing. */
  pop(stack: number): void {
    if (this.depths[stack] > 0) this.depths[stack]--;
    this.floors[stack] = Math.min(this.floors[stack], this.depths[stack]);
  }

  /** Forgets the frames that hardware can't know of: nothing is asked about them any more. */
  settle(stack: number): void {
    const depth = this.tracked(stack);
    const floor = this.floors[stack];
    const first = stack * CAPACITY;
    const { frames } = this;
    for (let i = 0; i < CAPACITY; i++) {
      frames[first + i] = i < depth ? frames[first + ((floor + i) % CAPACITY)] : 0;
    }
    this.depths[stack] = depth;
    this.floors[stack] = 0;
  }

  forget(stack: number): void {
    this.depths[stack] = 0;
    this.settle(stack);
  }

  depth(stack: number): number {
    return this.depths[stack];
  }

  /** Number of the i-th innermost call, i in [0, min(depth, 64)). */
  frame(stack: number, i: number): number {
    return this.frames[stack * CAPACITY + ((this.depths[stack] - 1 - i) % CAPACITY)];
  }

  /** From now on, hardware is taken to know only frames that are pushed later. */
  track(stack: number): void {
    this.floors[stack] = this.depths[stack];
  }

  /** Frames that hardware can still know of, if it lost none. */
  tracked(stack: number): number {
    return this.depths[stack] - this.floors[stack];
  }
}
