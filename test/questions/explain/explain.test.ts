/** `vlbr explain`: every name has a text, which says what it has to. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { setTextWidth, WIDTH } from '../../../src/console/text.js';
import { parseReplayText, scheduleJson, tokenOf } from '../../../src/campaign/replay_file.js';
import { explainCommand } from '../../../src/questions/explain/command.js';
import { entries } from '../../../src/questions/explain/entries.js';
import { wrongWithPrinted } from '../../rig/schemas.js';

afterEach(() => {
  vi.restoreAllMocks();
  setTextWidth(WIDTH);
});

/** What the command prints. */
async function explained(...args: readonly string[]): Promise<string> {
  let stdout = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  await explainCommand()
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .parseAsync(args, { from: 'user' });
  vi.restoreAllMocks();
  return stdout;
}

interface Told {
  readonly name: string;
  readonly kind: string;
  readonly summary: string;
  readonly facts: readonly { readonly name: string; readonly text: string }[];
  readonly schedule: { readonly text: string; readonly lines: readonly string[] } | null;
}

describe('vlbr explain', () => {
  const all = entries();

  it('every name has a text with a sentence in it', () => {
    expect(all.length).toBeGreaterThan(200);
    for (const entry of all.filter(({ kind }) => kind !== 'schedules')) {
      expect(entry.summary.length).toBeGreaterThan(6);
      const text = entry
        .facts()
        .map((fact) => `${fact.name}: ${fact.text}`)
        .join(' ');
      expect(text).toMatch(/^(says|is|does): /);
      expect(text).not.toMatch(/[^ -~]/);
    }
    const names = all.map(({ kind, name }) => `${kind} ${name}`);
    expect(new Set(names).size).toBe(names.length);
  });

  it('a schedule is told with its actions, why it ends so, and a token', async () => {
    const story = await explained('001', '--width', '80');
    expect(story).toMatch(/^001 \(schedules\)\nshows: v1 uses LBR, stops/);
    expect(story).toContain(
      'ends: policy merged breaks no-leak/vm (skylake, Linux 6.1); hazard H12 of',
    );
    expect(story).toMatch(/^ {2}#9 {2}v0 \(VM 0, task 0, p0\): PMI of event 0$/m);
    expect(story).toContain('=> v0: RDMSR FROM_1 returned');
    expect(story).toMatch(/^ {6}because: #8, __intel_pmu_lbr_restore\(\) of the host's perf;/m);
    expect(story).toMatch(/^ {2}vlbr replay v1\.\S+\n$/m);
    expect(await explained('001-merged-shortcut-leaks-across-vms.json')).toContain('#9');
    const holds = await explained('007');
    expect(holds).toContain('ends: policy pv-v2-direct keeps no-leak/vm');
    expect(holds).not.toContain('because');
    expect(await explained('013')).toContain(
      "ends: the guest's kernel breaks no-leak/task by itself, under policy always",
    );
  });

  it('a property is told with its risk, who breaks it and why, and its schedules', async () => {
    const text = await explained('no-leak/vm');
    expect(text).toContain('says: No guest ever reads a record of another VM');
    expect(text).toContain('whose: a policy can break it');
    expect(text).toContain('at risk when: A guest reads an LBR register, empty or not');
    expect(text).toMatch(/^pv-v2: while ACTIVE is 0/m);
    expect(text).toMatch(/^schedules: 001, 002,/m);
    expect(await explained('active-agrees')).toContain('n/a for merged: not a paravirtual policy');
    expect(await explained('no-warn')).toContain("whose: a kernel's: no policy can break it");
  });

  it('a situation is told with what says nothing without it', async () => {
    expect(await explained('switch-after-stop')).toContain(
      'without it nothing is known of: no-needless-switch',
    );
    expect(await explained('wrapped')).toContain('counted: to show that runs meet it');
  });

  it('a policy is told with what it breaks and what can not be asked of it', async () => {
    const text = await explained('pv-v2');
    expect(text).toMatch(/^does: static pass-through/m);
    expect(text).toMatch(/^from: Wei Wang, v2/m);
    expect(text).toMatch(/^assumes: every LBR user/m);
    expect(text).toContain('the guest: tells by ACTIVE');
    expect(text).toContain('breaks no-loss/any: ring-mode users never set ACTIVE');
    expect(text).toContain('n/a owner-only: it never touches the registers');
    expect(text).toMatch(/^schedules: 008, 020,/m);
    expect(await explained('merged')).not.toContain('the guest:');
  });

  it('an action is told with how it is written, and where it can be', async () => {
    const text = await explained('run');
    expect(text).toContain('written: p0: run vcpu=... after=...');
    expect(text).toContain('after: a whole number; 0 by default');
    expect(text).toContain('vcpu: a whole number\n');
    expect(text).not.toContain('where:');
    expect(await explained('moveTask')).toContain('where: only where guests run as C code');
    expect(await explained('watchdog')).toContain('where: only under the KVM of a tree');
    expect(await explained('call')).toContain('written: v0: call');
  });

  it('an exit code is told', async () => {
    expect(await explained('0')).toBe('0 (exit codes)\nsays: everything came out as expected\n');
  });

  it('without a name, all names are listed, in the columns that are asked for', async () => {
    const lines = (await explained('--width', '60')).split('\n');
    expect(lines.filter((line) => line.length > 60)).toEqual([]);
    for (const kind of new Set(all.map((entry) => entry.kind))) {
      expect(lines.map((line) => line.trimEnd())).toContain(kind);
    }
    expect(lines).toContain('001        merged shortcut leaks across vms');
  });

  it('JSON has the same, and names alone where no name is asked for', async () => {
    const printed = await explained('001', '--json');
    expect(wrongWithPrinted(printed)).toEqual([]);
    const [story] = parseReplayText(printed);
    const { entries: told } = JSON.parse(printed) as { entries: Told[] };
    const [{ facts, schedule, ...head }] = told;
    const summary = 'merged shortcut leaks across vms';
    expect([told.length, head]).toEqual([1, { name: '001', kind: 'schedules', summary }]);
    expect(facts.map(({ name }) => name)).toEqual(['shows', 'ends']);
    expect(facts[1].text).toMatch(/^policy merged breaks no-leak\/vm \(skylake, Linux 6\.1\); haz/);
    expect(schedule).toMatchObject({ ...scheduleJson(story), whose: 'policy' });
    expect(schedule).toMatchObject({ token: tokenOf(story), because: { step: 8 } });
    expect(schedule?.text).toMatch(/^v0: RDMSR FROM_1 returned/);
    // The machine has a line before the actions.
    expect(schedule?.lines).toHaveLength(1 + story.schedule.length);
    const exit = await explained('0', '--json');
    expect(wrongWithPrinted(exit)).toEqual([]);
    expect(JSON.parse(exit)).toMatchObject({ entries: [{ kind: 'exit codes', schedule: null }] });
    const list = await explained('--json');
    expect(wrongWithPrinted(list)).toEqual([]);
    const names = (JSON.parse(list) as { entries: Told[] }).entries;
    expect(names.map(({ name }) => name)).toEqual(all.map(({ name }) => name));
    expect(names[0]).not.toHaveProperty('facts');
  });

  it('a name that there is not is refused, with the nearest one', async () => {
    await expect(explained('mergd')).rejects.toThrow(
      "there is nothing named 'mergd'. Did you mean merged? vlbr explain alone lists",
    );
    await expect(explained('999')).rejects.toThrow("there is nothing named '999'");
  });
});
