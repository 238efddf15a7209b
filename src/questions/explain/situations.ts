/** What each situation is that runs count, in words. */
import type { ReachName } from '../../judge/properties.js';

export const SITUATION_SAYS: Readonly<Record<ReachName, string>> = {
  'read-after-other':
    'A guest reads an LBR register in which it has left something, and somebody else has had ' +
    'records in registers since.',
  'callstack-read-after-other': 'The same, by a guest that uses LBR call-stack mode.',
  'foreign-in-registers':
    'A guest reads an LBR register, empty or not, and somebody else has had records in registers ' +
    'since the guest had.',
  'sample-after-other-task': 'A task is sampled on a vCPU where another task was sampled before.',
  'callstack-sample': 'A sample of a call-stack event is taken whose frames are known exactly.',
  'host-sample-after-guest':
    'The host’s own event takes a sample on a pCPU on which a guest was recorded since the last.',
  'policy-access': 'The policy accesses an LBR MSR for a vCPU.',
  'recorded-after-other':
    'Hardware records a branch of a guest, and somebody else has had records in registers since ' +
    'the guest had.',
  'switch-while-active': 'A vCPU is switched while its guest has ACTIVE set.',
  'switch-after-stop': 'A vCPU is switched whose guest has used LBR, and does not any more.',
  'stop-with-records':
    'The policy takes a guest to have stopped, and the guest’s stack holds records.',
  'lbr-access': 'A guest accesses an LBR MSR, sets DEBUGCTL.LBR or is recorded.',
  'balance-checked': 'A kernel function returns on a CPU on which events count.',
  'sample-judged': 'A sample is taken of which is known what it has to hold.',
  'filter-judged': 'A kernel function returns, and LBR_SELECT has to let through what events ask.',
  wrapped: 'A task calls deeper than the stack has records.',
  'switch-in-function': 'A vCPU is switched out inside a function of its guest’s kernel.',
  'switch-in-lbr-off-window':
    'A vCPU is switched out inside such a function, where perf has DEBUGCTL.LBR clear although ' +
    'events use LBR.',
  'guest-shortcut':
    'The guest’s perf switches tasks, looks at a stack and lets it be: nobody was there since.',
  'host-shortcut': 'The host’s perf does the same for a vCPU.',
  'contended-entry': 'A guest exits on a pCPU on which an LBR event of the host’s counts.',
  'legacy-freeze': 'A PMI clears DEBUGCTL.LBR of a guest.',
  'clone-swap': 'perf swaps the contexts of two tasks in place of their events.',
  'task-came-back': 'A task comes back that was profiled in call-stack mode when it left.',
  'events-judged': 'The events in the context of a task are compared with those that were opened.',
  'event-scheduled': 'An event of which is known whether it has to count is looked at.',
  'entered-with-event': 'The KVM of a tree enters a guest that has its LBR event or the registers.',
  'entered-again': 'The KVM of a tree enters a guest that it has left before.',
  'counter-overflow': 'A counter of a guest overflows under the KVM of a tree.',
};
