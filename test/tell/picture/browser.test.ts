/** Pages in a real browser: three widths, light and dark, with and without scripts, in print. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { matrixPage, type MatrixCell } from '../../../src/tell/picture/matrix_page.js';
import { storyPage } from '../../../src/tell/picture/story_page.js';
import type { Told } from '../../../src/tell/picture/story_article.js';
import { storySvg } from '../../../src/tell/picture/story_svg.js';
import { BAD_BOXES, hasBrowser, openBrowser, seriousOn } from '../../rig/browser.js';
import { goldenTold } from '../../rig/stories.js';

const told = goldenTold('001');
const holds: MatrixCell = { word: 'holds', fails: false, expected: true, note: '', told: null };
const fails = (name: string): MatrixCell => ({
  word: 'FAILS',
  fails: true,
  expected: false,
  note: 'not known',
  told: goldenTold(name),
});

const PAGES = {
  one: storyPage([told]),
  // Four vCPUs, two pCPUs, three tasks: the most lanes that runs have by default.
  wide: storyPage([goldenTold('086'), goldenTold('016')]),
  matrix: matrixPage({
    command: 'vlbr verify',
    lines: ['vlbr verify: skylake', '2 runs'],
    properties: ['no-leak/vm', 'no-premature-stop'],
    rows: [
      { policy: 'merged', cells: [fails('001'), null] },
      { policy: 'v1-vmx-area', cells: [holds, fails('008')] },
    ],
    others: [goldenTold('011')],
    notes: [[`  vlbr replay ${told.story.token}`, 'a line '.repeat(40)], ['two']],
  }),
};

/** Drawings: a usual one, and one with so many lanes that sentences go below them. */
const DRAWINGS = { few: storySvg(told), many: storySvg(manyLanes(goldenTold('004'))) };

/** The same with more pCPUs than any machine has room for beside a sentence. */
function manyLanes(one: Told): Told {
  const steps = one.story.steps.map((step) => {
    const pcpus = Array.from({ length: 6 }, (_, pcpu) => ({ ...step.state.pcpus[0], pcpu }));
    return { ...step, state: { ...step.state, pcpus } };
  });
  return { ...one, story: { ...one.story, steps } };
}

const NAMES = [...Object.keys(PAGES), ...Object.keys(DRAWINGS)];
type PageName = keyof typeof PAGES | keyof typeof DRAWINGS;

function fileOf(name: string): string {
  return name in PAGES ? `${name}.html` : `${name}.svg`;
}

/** Ids of the sections that are shown. */
const SHOWN = `[...document.querySelectorAll('.st')]
  .filter((e) => e.checkVisibility()).map((e) => e.id)`;

describe.skipIf(!hasBrowser)('a page in a browser', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vlbr-test-'));
  let browser: Browser;
  beforeAll(async () => {
    const texts: Readonly<Record<string, string>> = { ...PAGES, ...DRAWINGS };
    for (const name of NAMES) writeFileSync(join(folder, fileOf(name)), texts[name]);
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser.close();
    rmSync(folder, { recursive: true });
  });

  /** Opens a page and returns what `look` sees there; nothing may be loaded but the file. */
  async function onPage<T>(
    name: PageName,
    hash: string,
    options: BrowserContextOptions,
    look: (page: Page) => Promise<T>,
  ): Promise<T> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const asked: string[] = [];
    const errors: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('pageerror', ({ message }) => errors.push(message));
    page.on('console', (message) => errors.push(message.text()));
    const { href } = pathToFileURL(join(folder, fileOf(name)));
    await page.goto(href + hash);
    const seen = await look(page);
    await context.close();
    expect(errors).toEqual([]);
    expect(asked.every((url) => url.startsWith(href))).toBe(true);
    return seen;
  }

  const SIZES = [400, 1280, 3840].map((width) => ({ viewport: { width, height: 600 } }));

  it.each([
    ['one', ''],
    ['wide', ''],
    ['matrix', '#merged-no-leak-vm'],
  ] as const)(
    '%s%s is never too wide, cuts no text, has no scrollbar within',
    async (name, hash) => {
      await onPage(name, hash, {}, async (page) => {
        for (const { viewport } of SIZES) {
          await page.setViewportSize(viewport);
          const wrong = await page.evaluate<unknown[]>(BAD_BOXES);
          const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
          expect([over, ...wrong], `at ${viewport.width}`).toEqual([0]);
        }
      });
    },
  );

  it.each([
    ['one', ''],
    ['matrix', '#merged-no-leak-vm'],
  ] as const)(
    '%s%s has nothing serious for axe, light on a phone, dark on a desk',
    async (name, hash) => {
      await onPage(name, hash, SIZES[0], async (page) => {
        expect(await seriousOn(page)).toEqual([]);
        await page.setViewportSize(SIZES[1].viewport);
        await page.emulateMedia({ colorScheme: 'dark' });
        expect(await seriousOn(page)).toEqual([]);
      });
    },
  );

  it('is dark where the reader wants it dark, and light elsewhere', async () => {
    const grounds = await onPage('one', '', { colorScheme: 'light' }, async (page) => {
      const ground = 'getComputedStyle(document.documentElement).backgroundColor';
      const light = await page.evaluate(ground);
      await page.emulateMedia({ colorScheme: 'dark' });
      return [light, await page.evaluate(ground)];
    });
    expect(grounds).toEqual(['rgb(255, 255, 255)', 'rgb(20, 21, 23)']);
  });

  it('opens with the step in which the machine parts, and moves by the keyboard', async () => {
    const seen = await onPage('one', '', SIZES[1], async (page) => {
      const at = async (): Promise<unknown> => ({
        shown: await page.evaluate(SHOWN),
        hash: await page.evaluate('location.hash'),
        current: await page.locator('.tl [aria-current=step]').getAttribute('href'),
        says: await page.locator('.nav output').textContent(),
      });
      const all = [await at()];
      for (const key of ['ArrowLeft', 'Home', 'ArrowLeft', 'ArrowRight', 'End', 'Control+Home']) {
        await page.keyboard.press(key);
        all.push(await at());
      }
      return all;
    });
    const step = (n: number, hash = `#step-${n}`): unknown => ({
      shown: [`step-${n}`],
      hash,
      current: `#step-${n}`,
      says: `step ${n} of 9`,
    });
    expect(seen).toEqual([step(8, ''), step(7), step(0), step(0), step(1), step(9), step(9)]);
  });

  it('opens with the step that a link names, and follows links and buttons', async () => {
    const seen = await onPage('one', '#step-4', SIZES[0], async (page) => {
      const all = [await page.evaluate(SHOWN)];
      await page.locator('.tl a[href="#step-2"]').click();
      all.push(await page.evaluate(SHOWN));
      await page.getByRole('button', { name: 'next' }).click();
      all.push(await page.evaluate(SHOWN));
      await page.getByRole('button', { name: 'all steps' }).click();
      all.push(await page.evaluate(`(${SHOWN}).length`));
      return all;
    });
    expect(seen).toEqual([['step-4'], ['step-2'], ['step-3'], 10]);
  });

  it('of a matrix shows the counterexample of the cell that was chosen, and no other', async () => {
    const seen = await onPage('matrix', '', SIZES[1], async (page) => {
      const shown = `[...document.querySelectorAll('article')]
        .filter((e) => e.checkVisibility()).map((e) => e.id)`;
      const all = [await page.evaluate(shown)];
      await page.locator('td a').first().click();
      all.push(await page.evaluate(shown), await page.evaluate(SHOWN));
      return all;
    });
    expect(seen).toEqual([[], ['merged-no-leak-vm'], ['merged-no-leak-vm-step-8']]);
  });

  it('shows everything without scripts, and in print', async () => {
    const still = await onPage('matrix', '', { javaScriptEnabled: false }, (page) =>
      page.locator('.st >> visible=true').count(),
    );
    const printed = await onPage('matrix', '#merged-no-leak-vm', SIZES[1], async (page) => {
      await page.emulateMedia({ media: 'print' });
      expect(await page.locator('.nav >> visible=true').count()).toBe(0);
      return page.locator('.st >> visible=true').count();
    });
    const steps = PAGES.matrix.match(/<section /g) ?? [];
    expect(steps.length).toBeGreaterThan(15);
    expect([still, printed]).toEqual([steps.length, steps.length]);
  });

  it.each(['few', 'many'] as const)(
    'of a drawing (%s lanes) cuts no text, and has two schemes',
    async (name) => {
      await onPage(name, '', { ...SIZES[1], colorScheme: 'light' }, async (page) => {
        // Text that leaves the drawing, or that lies on other text.
        const wrong = await page.evaluate(`(() => {
        const { width, height } = document.documentElement.viewBox.baseVal;
        const all = [...document.querySelectorAll('text')].map((e) => [e.textContent, e.getBBox()]);
        const out = all.filter(([, b]) =>
          b.x < 0 || b.y < 0 || b.x + b.width > width || b.y + b.height > height);
        const on = all.filter(([, a], i) => all.some(([, b], j) => j > i && a.width * b.width > 0 &&
          a.x < b.x + b.width - 1 && b.x < a.x + a.width - 1 &&
          a.y < b.y + b.height - 4 && b.y < a.y + a.height - 4));
        return [...out, ...on].map(([text]) => text);
      })()`);
        expect(wrong).toEqual([]);
        const ground = `getComputedStyle(document.querySelector('.bg')).fill`;
        const light = await page.evaluate(ground);
        await page.emulateMedia({ colorScheme: 'dark' });
        expect([light, await page.evaluate(ground)]).toEqual([
          'rgb(255, 255, 255)',
          'rgb(20, 21, 23)',
        ]);
      });
    },
  );
});
