/** A schedule under a tree's KVM, as a replay file: two VMs of one vCPU on one pCPU. */
export function kvmSchedule(property: string, cpu: string, actions: readonly string[]): string {
  const machine = { cpu, kernel: '6.1', vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };
  return JSON.stringify({
    schema: 'vlbr/schedule/1',
    policy: 'kvm',
    property,
    ...machine,
    actions,
  });
}
