/** Debian's Chromium, if this machine has it. */
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

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
