import {
  PERF_SAMPLE_BRANCH_CALL_STACK,
  PERF_SAMPLE_BRANCH_USER,
} from '../guest/perf/perf_event.js';

/** branch_sample_type of `perf record --call-graph lbr`. */
export const CALLSTACK_USER: number = PERF_SAMPLE_BRANCH_CALL_STACK | PERF_SAMPLE_BRANCH_USER;

/** Whether a branch_sample_type makes its event a user of call-stack mode. */
export function isUserCallstack(type: number): boolean {
  return (type & CALLSTACK_USER) === CALLSTACK_USER;
}
