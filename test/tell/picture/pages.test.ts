/** What pages say, by their text: every step, every link, every name escaped. */
import { describe, expect, it } from 'vitest';
import { matrixPage } from '../../../src/tell/picture/matrix_page.js';
import { storyPage } from '../../../src/tell/picture/story_page.js';
import type { Told } from '../../../src/tell/picture/story_article.js';
import { storySvg } from '../../../src/tell/picture/story_svg.js';
import { GOLDEN, goldenTold } from '../../rig/stories.js';

const EVIL = `<script>alert("&'")</script>`;
/** As a text, and as the value of an attribute. */
const MILD = /&lt;script>alert\((?:"|&quot;)&amp;'(?:"|&quot;)\)&lt;\/script>/;

/** A story whose every text is a script. */
function evilTold(): Told {
  const told = goldenTold('001');
  const { story } = told;
  const steps = story.steps.map((step) => ({
    ...step,
    who: EVIL,
    sentence: EVIL,
    lines: [EVIL],
    samples: [{ vcpu: null, pcpu: 0, branches: [EVIL] }],
    accesses: step.accesses.map((access) => ({ ...access, text: EVIL, msr: EVIL })),
  }));
  const who = { cause: EVIL, decidedBy: EVIL, of: EVIL, at: EVIL, calledBy: EVIL, calledAt: EVIL };
  const because = { ...who, step: 8, expected: EVIL, found: EVIL };
  const evil = { ...story, policy: EVIL, property: EVIL, text: EVIL, token: EVIL, because, steps };
  return { story: evil, title: EVIL, guest: EVIL, says: [EVIL], replayWords: [EVIL] };
}

/** The elements of a page by their ids. */
function idsIn(page: string): string[] {
  return [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
}

describe('a page', () => {
  it('never takes a text for markup, whatever the text is', () => {
    const evil = evilTold();
    const cell = { word: EVIL, fails: true, expected: false, note: EVIL, told: evil };
    const matrix = {
      command: EVIL,
      lines: [EVIL, EVIL],
      properties: [EVIL],
      rows: [{ policy: EVIL, cells: [cell] }],
      others: [evil],
    };
    for (const text of [storyPage([evil]), storyPage([evil, evil]), matrixPage(matrix)]) {
      // Its own script, and no other.
      expect(text.match(/<script/g)).toEqual(['<script']);
      expect(text).toMatch(MILD);
      expect(text).not.toContain('alert("&');
    }
    const svg = storySvg(evil);
    expect(svg).not.toContain('<script');
    expect(svg).toMatch(/&lt;script>/);
  });

  it('of every golden schedule has a section for each step, and a link to each', () => {
    for (const name of GOLDEN) {
      const told = goldenTold(name);
      const page = storyPage([told]);
      expect(idsIn(page)).toEqual(told.story.steps.map(({ number }) => `step-${number}`));
      for (const id of idsIn(page)) expect(page.split(`href="#${id}"`).length).toBe(3);
      expect(page).toContain(`vlbr replay ${told.story.token}</code>`);
      const main = page.slice(page.indexOf('<main>'), page.indexOf('<script'));
      expect(main).not.toMatch(/undefined|NaN|\[object/);
    }
  });

  it('with several schedules gives each its own name, and each step a name of its own', () => {
    const page = storyPage(['001', '004', '001'].map(goldenTold));
    const ids = idsIn(page);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((id) => !id.includes('-step-'))).toEqual([
      'merged-no-leak-vm',
      'merged-no-loss-callstack',
      'merged-no-leak-vm-2',
    ]);
    expect(ids).toContain('merged-no-leak-vm-2-step-9');
  });

  it('loads nothing, and runs no script and no style but its own', () => {
    const page = storyPage([goldenTold('001')]);
    expect(page).not.toMatch(/https?:|<link|<img|@import|url\(|src=/);
    expect(page).toMatch(/default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'/);
    expect(page.startsWith('<!doctype html>\n<html lang="en">')).toBe(true);
    expect(page).toContain('<title>vlbr: merged breaks no-leak/vm</title>');
  });

  it('tells the story of 001 at its head, in its timeline and in its steps', () => {
    const page = storyPage([goldenTold('001')]);
    const text = page
      .slice(page.indexOf('<main>'), page.indexOf('<script'))
      .replaceAll(/<(?!section)[^>]*>/g, '|')
      .replaceAll(/\|+/g, '|');
    expect(text).toContain('|v0: RDMSR FROM_1 returned 0x90000000003, of VM 1, instead of 0x0|');
    expect(text).toContain('|because: #8, __intel_pmu_lbr_restore() of the host');
    expect(text).toContain('|broken by: policy|');
    expect(text).toContain('skylake · Linux 6.1 guest · 2 VMs · 1 vCPU and 2 tasks each · 1 pCPU');
    expect(text).toContain('|8|v0|t0|p0|1|p0| switch to v0|parts from the reference|');
    const [, last] = text.split('id="step-9">');
    expect(last).toContain('|9|v0 (VM 0, task 0, p0)| PMI of event 0|breaks no-leak/vm|');
    expect(last).toContain('|v0, VM entries: 3, VM exits: 3|');
    expect(last).toContain('1 slot ≠ reference|registers|reference|DEBUGCTL|LBR|LBR|');
    expect(last).toContain('|slot 1|VM 1 task 0 call#3|≠ empty|');
    expect(last).toContain('|guest perf');
    expect(last).toContain('|v0|RDMSR|FROM_1|VM 1 task 0 call#3| ≠ reference: 0|');
  });

  it('tells samples, what was passed over, and copies of KVM and of perf', () => {
    const all = GOLDEN.map((name) => storyPage([goldenTold(name)])).join('');
    expect(all).toMatch(/Sample of v\d: (VM|host)/);
    expect(all).toMatch(/Sample of the host on p\d: /);
    expect(all).toContain('<th scope="col">KVM\'s copy</th>');
    expect(all).toContain('<th scope="col">host perf\'s copy</th>');
    expect(all).toContain('is in its guest, and its LBR MSRs exit');
    expect(all).toMatch(/inside \w+\(\), after \d+ of its MSR accesses/);
    expect(all).toContain('ACTIVE');
    const told = goldenTold('001');
    const steps = told.story.steps.map((step) => ({ ...step, possible: false }));
    const page = storyPage([{ ...told, story: { ...told.story, steps } }]);
    expect(page).toContain('<li>not possible here, so passed over</li>');
  });

  it('of a matrix has a word in each cell, and a link where there is a counterexample', () => {
    const told = goldenTold('001');
    const page = matrixPage({
      command: 'vlbr verify',
      lines: ['vlbr verify: skylake', 'two lines'],
      properties: ['no-leak/vm', 'balanced', 'no-fault'],
      rows: [
        {
          policy: 'merged',
          cells: [
            { word: 'FAILS', fails: true, expected: true, note: 'known', told },
            { word: 'holds', fails: false, expected: false, note: '', told: null },
            null,
          ],
        },
        {
          policy: 'never',
          cells: [
            { word: 'n/a', fails: false, expected: true, note: 'why', told: null },
            null,
            null,
          ],
        },
      ],
      others: [goldenTold('011')],
    });
    expect(page).toContain('<h1>vlbr verify: skylake</h1>');
    expect(page).toContain('<p>two lines</p>');
    expect(page).toContain(
      'class="no" data-p="no-leak/vm" title="known"><a href="#merged-no-leak-vm">FAILS</a></td>',
    );
    expect(page).toContain('class="ok" data-p="balanced">holds<em>unexpected</em></td>');
    expect(page).toContain('class="na" data-p="no-leak/vm" title="why">n/a</td>');
    expect(page.match(/class="na" data-p="no-fault">not judged<\/td>/g)).toHaveLength(2);
    expect(page).toMatch(/<li><a href="#[\w-]+">the guest's kernel breaks balanced by itself/);
    expect(page).toContain('<article id="merged-no-leak-vm">');
  });
});

describe('a drawing', () => {
  it('has the token whole, however long it is, and a row for each step', () => {
    for (const name of ['001', '004', '086']) {
      const told = goldenTold(name);
      const svg = storySvg(told);
      expect(svg).toContain(`<desc>vlbr replay ${told.story.token}</desc>`);
      const numbers = told.story.steps.map(({ number }) => String(number).padStart(3));
      for (const number of numbers) expect(svg).toContain(`>${number}</text>`);
    }
    expect(storySvg(goldenTold('001'))).toContain('>parts from the reference</text>');
  });
});
