/** Debian's Chromium, if this machine has it. */
import { existsSync } from 'node:fs';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';

const CHROMIUM = '/usr/bin/chromium';

function found(): boolean {
  if (existsSync(CHROMIUM)) return true;
  console.warn(
    '\nSKIPPED: what opens pages in a browser, since Chromium is not installed ' +
      '(apt-get install chromium)\n',
  );
  return false;
}

/** Whether there is a browser. If there is none, the reason has been printed. */
export const hasBrowser: boolean = found();

/** A browser without a window. The caller closes it. */
export function openBrowser(): Promise<Browser> {
  // The sandbox needs rights that containers do not give; the pages are the tests' own.
  const args = ['--no-sandbox', '--disable-dev-shm-usage'];
  return chromium.launch({ executablePath: CHROMIUM, args });
}

/** Elements whose text is cut, or that scroll by themselves. */
export const BAD_BOXES: string = `[...document.querySelectorAll('body *')].flatMap((e) => {
  const { overflowX, overflowY, textOverflow } = getComputedStyle(e);
  const cuts = overflowX !== 'visible' || overflowY !== 'visible' || textOverflow !== 'clip';
  const box = e.getBoundingClientRect();
  const out = box.width > 0 && (box.right > innerWidth + 0.5 || box.left < -0.5);
  const over = e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1;
  return cuts || out || over ? [e.outerHTML.slice(0, 80)] : [];
})`;

/** What axe finds on a page that is serious or critical. */
export async function seriousOn(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(
    `axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => id + ' ' + nodes[0].html))`,
  );
}
