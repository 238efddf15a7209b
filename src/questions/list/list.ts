/** `vlbr list`: what there is to choose from. */
import { ALL_POLICIES } from '../../host/policy/index.js';
import { kvm } from '../../host/policy/kvm.js';
import type { LbrPolicy } from '../../host/policy/policy.js';
import { CPU_MODELS, type CpuModel } from '../../hw/cpu_models.js';
import { PROPERTIES } from '../../judge/properties.js';
import { tableLines } from '../../console/table.js';
import { ascii } from '../../console/text.js';
import type { LISTS } from './command.js';
import { printJson, printLines } from '../../console/output.js';

export type ListName = (typeof LISTS)[number];

export interface ListOptions {
  readonly json?: boolean;
}

/** Fields whose names in JSON are not those of the code; null is left out. */
const CPU_KEYS: Readonly<Record<string, string | null>> = {
  cstateWipe: 'cstate_wipe',
  lbrInit: 'lbr_init',
  doubleAbort: null,
  zeroCallPushed: 'zero_call_pushed',
};

function cpuJson(model: CpuModel): object {
  return Object.fromEntries(
    Object.entries(model).flatMap(([field, value]) => {
      const key = field in CPU_KEYS ? CPU_KEYS[field] : field;
      return key === null ? [] : [[key, value]];
    }),
  );
}

export function list(what: ListName, { json }: ListOptions): void {
  const { head, rows, data } = LISTED[what]();
  if (json === true) printJson({ schema: `vlbr/list/2`, [what]: data });
  else printLines(tableLines(head, rows));
}

interface Listed {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly data: readonly object[];
}

/** The KVM of a tree is one more that can be named. */
const LISTED_POLICIES: readonly LbrPolicy[] = [...ALL_POLICIES, kvm];

const LISTED: Readonly<Record<ListName, () => Listed>> = {
  policies: () => ({
    head: ['policy', 'known failures', 'what it does'],
    rows: LISTED_POLICIES.map(({ name, summary, knownFailures }) => [
      name,
      String(Object.keys(knownFailures).length),
      ascii(summary),
    ]),
    data: LISTED_POLICIES.map(
      ({ name, summary, cites, assumes, pv, knownFailures, notApplicable }) => ({
        name,
        summary,
        cites,
        assumes,
        pv,
        knownFailures,
        notApplicable,
      }),
    ),
  }),
  properties: () => ({
    head: ['property', 'what it says'],
    rows: PROPERTIES.map(({ name, statement }) => [name, ascii(statement)]),
    data: PROPERTIES.map(({ name, statement, reach }) => ({
      name,
      statement: ascii(statement),
      reach,
    })),
  }),
  cpus: () => ({
    head: ['cpu', 'records', 'call stack', 'INFO', 'microarchitecture'],
    rows: CPU_MODELS.map(({ name, lbr_nr, callstack, lbr_info, uarch }) => [
      name,
      String(lbr_nr),
      callstack ? 'yes' : 'no',
      lbr_info === 0 ? 'no' : 'yes',
      uarch,
    ]),
    data: CPU_MODELS.map(cpuJson),
  }),
};
