/**
 * The library: the work of `vlbr verify`, `vlbr replay`, `vlbr review`, `vlbr explore`, `vlbr kernel
 * build` and `vlbr list`, and what it takes to write a policy, a schedule or an observer of one's
 * own. Not here: `vlbr conform` and `vlbr corpus`, the search for shorter schedules that
 * `vlbr verify` ends with, and reports other than the timeline of a schedule.
 */

// The suite.
export { DEFAULT_SHAPES, runCampaign } from './verify/campaign.js';
export { PROPERTIES, REACH_NAMES } from './verify/properties.js';
export type {
  CampaignOptions,
  Counterexample,
  KernelFinding,
  Progress,
  Report,
  Result,
  Shape,
  Verdict,
} from './verify/campaign.js';
export type { Property, ReachName } from './verify/properties.js';

// Policies.
export { findPolicy, knownFailure, notApplicable, POLICIES } from './host/policy/index.js';
export { msrValue, nothing, PASS_THROUGH, PROPERTY_NAMES } from './host/policy/policy.js';
export type {
  HostPerf,
  KnownFailure,
  LbrPolicy,
  MsrValue,
  PolicyGround,
  PolicyHost,
  PropertyName,
} from './host/policy/policy.js';
export type { Vcpu } from './host/vcpu.js';
export type { PvSite } from './guest/pv/kvm_para.js';

// CPUs and kernels.
export { CPU_MODELS, findCpuModel, withDepth } from './hw/cpu_models.js';
export { KERNEL_VERSIONS } from './guest/perf/kernel.js';
export type { CpuModel } from './hw/cpu_models.js';
export type { KernelVersion } from './guest/perf/kernel.js';

// A kernel's own lbr.c.
export { PORT } from './guest/perf/lbr_port.js';
export { kernelBinary, KernelBinaryError } from './kernel/binary.js';
export { buildKernel } from './kernel/build.js';
export { kernelDriver } from './kernel/driver.js';
export { KernelError } from './kernel/errors.js';
export { patchLbr } from './kernel/patch.js';
export { installedKernel, kernelSource, readKernelSource } from './kernel/source.js';
export { findingsOf, losesAnything, reviewPolicy } from './verify/review.js';
export type { DriverKind, LbrDriver } from './guest/perf/lbr_driver.js';
export type { KernelBinary, KernelInfo } from './kernel/binary.js';
export type { PatchFile, Patched } from './kernel/patch.js';
export type { KernelSource } from './kernel/source.js';
export type { Change, Comparison, CompareOptions } from './verify/compare.js';
export type { Breaking, Crash } from './verify/compare_side.js';
export type { Finding, PolicyReview } from './verify/review.js';

// One machine, by hand.
export { configProblem } from './sim/config.js';
export { Machine } from './sim/machine.js';
export { canPerform, perform } from './sim/perform.js';
export { ModelInvariantError } from './hw/assert.js';
export { Monitor } from './verify/monitor.js';
export { HOST } from './host/observer.js';
export type { MachineConfig } from './sim/config.js';
export type { Observer } from './host/observer.js';

// Schedules, and how they are kept.
export { ACTION_NAMES, ACTIONS, actionText } from './sim/actions.js';
export { Schedule, step } from './sim/schedule.js';
export { decodeToken, encodeToken } from './sim/token.js';
export {
  breakerOf,
  endsAsExpected,
  parseReplayText,
  ReplayError,
  replayToken,
  scheduleJson,
  tokenOf,
} from './verify/replay_file.js';
export type { Action, ActionName, ActionSpec, Param } from './sim/actions.js';
export type { Replay } from './sim/token.js';
export type { Breaker, ReplayCase } from './verify/replay_file.js';

// Recorded schedules.
export { parseFtrace, readFtraceFile, TraceError } from './trace/ftrace.js';
export { DEFAULT_VCPU_THREADS, hostSchedule, summarize } from './trace/host_schedule.js';
export type { FtraceText, SchedSwitch } from './trace/ftrace.js';
export type {
  HostSchedule,
  ScheduleStep,
  ScheduleSummary,
  VcpuThread,
  VmEvidence,
} from './trace/host_schedule.js';

// Exploration: of the machine, and of any model.
export { DEFAULT_GROUPS, GROUP_NAMES } from './explore/alphabet.js';
export { explore } from './explore/explore.js';
export { findLasso } from './explore/lasso.js';
export { MachineModel } from './explore/machine_model.js';
export { Search } from './explore/search.js';
export { collisionOdds } from './explore/visited.js';
export type { Bounds, Group } from './explore/alphabet.js';
export type { Explored, ExploreOptions, ExploreResult, Liveness } from './explore/explore.js';
export type { Lasso, LassoOutcome, Recurrence } from './explore/lasso.js';
export type { Invariant, Model } from './explore/model.js';
export type { End, Outcome, SearchOptions } from './explore/search.js';
export type { Progress as SearchProgress } from './explore/search.js';

// Reports.
export { timeline } from './report/timeline.js';
export type { Timeline } from './report/timeline.js';
