/** Whether a series changes KVM, so that the tree's own KVM is run as well, or alone. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kvmIn } from '../../../src/questions/review/sides.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vlbr-touches-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function diffOf(path: string): string {
  return `--- a/${path}\n+++ b/${path}\n@@ -1 +1 @@\n-int x;\n+int y;\n`;
}

/** Writes a file, and returns its path. */
function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('kvmIn()', () => {
  it('is about files of arch/x86/kvm and virt/kvm', async () => {
    const paths = ['arch/x86/kvm/pmu.c', 'arch/x86/kvm/vmx/vmx.c', 'virt/kvm/kvm_main.c'];
    for (const path of paths) {
      expect([path, await kvmIn([file('a.patch', diffOf(path))])]).toEqual([path, 'alone']);
    }
    for (const path of ['arch/x86/events/intel/lbr.c', 'arch/arm64/kvm/pmu.c', 'kvm/x.c']) {
      expect([path, await kvmIn([file('b.patch', diffOf(path))])]).toEqual([path, 'none']);
    }
  });

  it('looks into each file of a series, and into mails', async () => {
    const perf = file('1.patch', diffOf('kernel/events/core.c'));
    const diff = Buffer.from(diffOf('arch/x86/kvm/x86.c')).toString('base64');
    const head = 'From: A <a@b.c>\nSubject: [PATCH] x\nContent-Transfer-Encoding: base64\n';
    const mail = file('2.patch', `${head}MIME-Version: 1.0\nContent-Type: text/plain\n\n${diff}\n`);
    expect(await kvmIn([perf])).toBe('none');
    expect(await kvmIn([perf, mail])).toBe('some');
    expect(await kvmIn([mail])).toBe('alone');
    const both = file('3.patch', diffOf('arch/x86/kvm/pmu.c') + diffOf('kernel/events/core.c'));
    expect(await kvmIn([both])).toBe('some');
  });

  it('a tree is not read for it', async () => {
    expect(await kvmIn([folder])).toBe('none');
  });
});
