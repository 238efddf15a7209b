/**
 * The library: the work of `vlbr verify`, `vlbr replay`, `vlbr review`, `vlbr explore`,
 * `vlbr conform --driver lbr.c`, `vlbr kernel build` and `vlbr list`, their reports as text and as
 * JSON, and what it takes to write a policy, a schedule or an observer of one's own. Schedules as
 * an arbitrary of fast-check are in `vlbr/fast-check`. Not here: `vlbr conform` of a whole tree,
 * `vlbr corpus` and `vlbr cost`.
 */

// The suite.
export { DEFAULT_SHAPES, runCampaign, verify } from './campaign/campaign.js';
export { shorten } from './states/shorten.js';
export { PROPERTIES, PROPERTY_NAMES, REACH_NAMES } from './judge/properties.js';
export { knownFailure, notApplicable } from './judge/declared.js';
export type {
  CampaignOptions,
  Counterexample,
  KernelFinding,
  Progress,
  Report,
  Result,
  Verdict,
} from './campaign/campaign.js';
export type { Property, PropertyName, ReachName } from './judge/properties.js';

// Policies.
export { loadPolicies } from './console/policy_files.js';
export { policyProblem } from './console/policy_form.js';
export { PolicyError } from './host/policy/guarded.js';
export { findPolicy, POLICIES } from './host/policy/index.js';
export {
  enterSound,
  makeLive,
  PARKED,
  PARKED_WORDS,
  SOUND,
  SOUND_WORDS,
} from './host/policy/parked_stack.js';
export {
  LEGACY_FREEZE,
  msrValue,
  nothing,
  PASS_THROUGH,
  REFUSED,
  WITH_CALLSTACK,
  WITH_SHORTCUT,
} from './host/policy/policy.js';
export { GP_VECTOR } from './hw/msr_port.js';
export type { ParkedVcpu, SoundVcpu } from './host/policy/parked_stack.js';
export type {
  HostPerf,
  KnownFailure,
  LbrPolicy,
  MsrValue,
  PolicyGround,
  PolicyHost,
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
export { kernelBinary, KernelBinaryError } from './tree/binary.js';
export { buildKernel } from './tree/build.js';
export { kernelDriver } from './tree/driver.js';
export { KernelError } from './tree/errors.js';
export { patchLbr } from './tree/patch.js';
export { installedKernel, kernelSource, readKernelSource } from './tree/source.js';
export { findingsOf, losesAnything, reviewPolicy } from './questions/review/comparison.js';
export type { DriverKind, LbrDriver } from './guest/perf/lbr_driver.js';
export type { KernelBinary, KernelInfo } from './tree/binary.js';
export type { PatchFile } from './tree/mail.js';
export type { Patched } from './tree/patch.js';
export type { KernelSource } from './tree/source.js';
export type { Change, Comparison, CompareOptions } from './campaign/compare.js';
export type { Breaking, Crash } from './campaign/side.js';
export type { Finding, PolicyReview } from './questions/review/comparison.js';

// One machine, by hand.
export { shapeProblem } from './machine/config.js';
export { Machine } from './machine/machine.js';
export { canPerform, perform } from './schedule/table.js';
export { ModelInvariantError } from './hw/assert.js';
export { Monitor } from './judge/monitor.js';
export { HOST, Observer, tee } from './host/observer.js';
export type { MachineConfig, Shape } from './machine/config.js';

// Schedules, and how they are kept.
export { ACTION_NAMES, ACTIONS } from './schedule/table.js';
export { actionText, parseAction } from './schedule/action_text.js';
export { Schedule, step } from './schedule/schedule.js';
export { decodeToken, encodeToken } from './schedule/token.js';
export {
  breakerOf,
  caseOf,
  endsAsExpected,
  parseReplayText,
  ReplayError,
  replayToken,
  scheduleJson,
  tokenOf,
} from './campaign/replay_file.js';
export type { Action, ActionName } from './schedule/table.js';
export type { ActionKind } from './schedule/action.js';
export type { Param } from './schedule/param.js';
export type { Replay } from './schedule/token.js';
export type { Breaker, ReplayCase } from './campaign/replay_file.js';

// Recorded schedules.
export { parseRecording, readRecording } from './recording/read.js';
export { summarize } from './recording/recording.js';
export { TraceError } from './recording/trace_error.js';
export type { ReadControl, ReadOptions, ReadProgress } from './recording/read.js';
export type {
  HostSchedule,
  MsrAccess,
  Recording,
  ScheduleSummary,
  Steps,
} from './recording/recording.js';
export type { Sureness, VcpuEvidence, VcpuThread, VmEvidence } from './recording/vcpus.js';

// Exploration: of the machine, and of any model.
export { DEFAULT_GROUPS } from './states/alphabet.js';
export { GROUP_NAMES } from './schedule/explored.js';
export { explore } from './states/explore.js';
export { findLasso } from './search/lasso.js';
export { MachineModel } from './states/machine_model.js';
export { Search } from './search/search.js';
export { collisionOdds } from './search/visited.js';
export type { Bounds, Group } from './schedule/explored.js';
export type { Explored, ExploreOptions, ExploreResult, Liveness } from './states/explore.js';
export type { Lasso, LassoOutcome, Recurrence } from './search/lasso.js';
export type { Invariant, Model } from './search/model.js';
export type { End, Outcome, SearchOptions } from './search/search.js';
export type { Progress as SearchProgress } from './search/search.js';

// The port against a kernel's own lbr.c.
export { Conformance } from './questions/conform/campaign.js';
export { SUBJECTS } from './questions/conform/subjects.js';

// Reports.
export { coloursFor } from './console/colours.js';
export { conformJson } from './questions/conform/json.js';
export { conformText } from './questions/conform/text.js';
export { exploreJson } from './questions/explore/json.js';
export { exploreText } from './questions/explore/text.js';
export { reviewJson } from './questions/review/json.js';
export { reviewText } from './questions/review/text.js';
export { campaignOf } from './tell/verdicts/campaign_of.js';
export { verifyJson } from './tell/verdicts/json.js';
export { verifyText } from './tell/verdicts/text.js';
export { timeline } from './tell/timeline.js';
export type { Exploration } from './questions/explore/text.js';
export type { Review } from './questions/review/conclusion.js';
export type { Campaign } from './tell/verdicts/text.js';
export type { Timeline } from './tell/timeline.js';
