/** How pictures show whose something is: by a colour, a class and a letter. */
import { HOST_OWNS } from './stacks.js';

/** Colours of VMs by their numbers, by Okabe and Ito: everybody can tell them apart. */
export const VM_COLOURS: readonly string[] = [
  '#0072b2',
  '#e69f00',
  '#009e73',
  '#cc79a7',
  '#56b4e9',
  '#d55e00',
];

/** The colour of the host. */
export const HOST_COLOUR = '#808080';

/** The class of what belongs to a VM, or to the host. */
export function ownerClass(vm: number): string {
  return vm === HOST_OWNS ? 'oh' : `o${vm}`;
}

/** What a block for a record has written in it. */
export function ownerLetter(vm: number): string {
  return vm === HOST_OWNS ? 'h' : String(vm);
}

/** The colours as a rule for each class: `rule('o0', '#0072b2')`. */
export function ownerRules(rule: (name: string, colour: string) => string): string {
  const vms = VM_COLOURS.map((colour, vm) => rule(ownerClass(vm), colour));
  return [...vms, rule(ownerClass(HOST_OWNS), HOST_COLOUR)].join('\n');
}
