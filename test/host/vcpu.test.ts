/** Where the words of a vCPU lie. */
import { expect, it } from 'vitest';
import { Vcpu } from '../../src/host/vcpu.js';
import { findCpuModel } from '../../src/hw/cpu_models.js';
import { Layout, Memory } from '../../src/hw/memory.js';

it('each field of a vCPU always has a word of its own, in the order of the block', () => {
  const model = findCpuModel('skylake');
  if (model === undefined) throw new Error('skylake is in the table of CPUs');
  const layout = new Layout();
  const at = Vcpu.allocate(layout, model, ['live']);
  const memory = new Memory(layout);
  const vcpu = new Vcpu<'live'>(memory, model, at, 6, 1, 2);
  expect([vcpu.id, vcpu.vm, vcpu.cpu, vcpu.pcpu]).toEqual([6, 1, 2, -1]);
  Object.assign(vcpu, { pcpu: 2, inGuest: true, inUserspace: true });
  Object.assign(vcpu, { host_debugctl: 4, global_ctrl: 5 });
  Object.assign(vcpu, { global_ctrl_hi: 6, eventsel_en: 9, global_status: 7 });
  Object.assign(vcpu, { pvLbrCtrl: 8, msr_passthrough: true });
  expect([...memory.words.subarray(0, 11)]).toEqual([3, 1, 1, 4, 5, 6, 9, 7, 8, 1, 0]);
  expect([vcpu.pcpu, vcpu.inGuest, vcpu.inUserspace]).toEqual([2, true, true]);
  expect(vcpu.msr_passthrough).toBe(true);
  vcpu.words.live = 9;
  vcpu.clearWords();
  expect([vcpu.words.live, vcpu.host_debugctl, vcpu.msr_passthrough]).toEqual([0, 4, true]);
});
