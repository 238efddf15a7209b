/** Records as chips: whose each is shows by colour, by pattern and in words. */
import type { JSX } from 'preact';
import { ownerClass } from './owners.js';
import { HOST_OWNS, type StoryRecord } from './stacks.js';

/** A record. */
export function RecordChip({ record }: { readonly record: StoryRecord }): JSX.Element {
  const { vm, text, from, to, info } = record;
  const values = [`FROM ${from}`, `TO ${to}`, ...(info === '' ? [] : [`INFO ${info}`])];
  return (
    <span class={`c ${ownerClass(vm)}`} title={values.join('\n')}>
      {text}
    </span>
  );
}

/** What colours and patterns mean, for the VMs that there are. */
export function OwnerKey({ vms }: { readonly vms: number }): JSX.Element {
  const owners = [...Array.from({ length: vms }, (_, vm) => vm), HOST_OWNS];
  return (
    <p class="key">
      {'Records of '}
      {owners.map((vm) => (
        <span class={`c ${ownerClass(vm)}`}>{vm === HOST_OWNS ? 'the host' : `VM ${vm}`}</span>
      ))}
      {' Lanes: '}
      <span class="k g">in the guest</span>
      <span class="k h">in the host</span>
    </p>
  );
}
