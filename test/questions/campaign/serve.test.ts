/** The pages of a campaign: by the built command line, and in a real browser. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addressOf, isLoopback } from '../../../src/questions/campaign/address.js';
import { Directory } from '../../../src/store/directory.js';
import { withRange } from '../../../src/store/findings.js';
import { doUnit, type RunsDone } from '../../../src/store/unit.js';
import { BAD_BOXES, hasBrowser, openBrowser, seriousOn } from '../../rig/browser.js';
import { builtFolder } from '../../rig/built.js';
import { ASKED, crossed, optionsOf } from '../../rig/campaign.js';
import { wrongWithPrinted } from '../../rig/schemas.js';

let cli = '';
let folder = '';
let server: ChildProcess;
let said = '';
let url = '';

/** What a campaign has found that is in work: a range of each policy, and three samples. */
function makeCampaign(path: string): void {
  const directory = Directory.create(path, ASKED, new Map());
  for (const subject of [0, 1]) {
    const done = doUnit(optionsOf(ASKED, subject), { kind: 'runs', range: { from: 0, to: 20 } });
    directory.keepRange(subject, 0, crossed(done) as RunsDone);
  }
  for (const [at_ms, runs, failures] of [
    [1, 0, 0],
    [2, 20, 4],
    [3, 40, 9],
  ]) {
    directory.keepSample({ at_ms, runs, steps: runs * 60, failures });
  }
  directory.close();
}

beforeAll(async () => {
  cli = join(await builtFolder(), 'cli.js');
  folder = mkdtempSync(join(tmpdir(), 'vlbr-serve-'));
  const path = join(folder, 'campaign');
  makeCampaign(path);
  server = spawn(process.execPath, [cli, 'campaign', 'status', path, '--serve', '0']);
  const [line] = (await once(server.stdout ?? process.stdin, 'data')) as [Buffer];
  said = line.toString();
  url = /^http:\/\/127\.0\.0\.1:\d+\//.exec(said)?.[0] ?? '';
});

afterAll(() => {
  server.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const get = async (path: string, method = 'GET'): Promise<[number, string, Headers]> => {
  const response = await fetch(`${url}${path}`, { method });
  return [response.status, await response.text(), response.headers];
};

describe('the pages of a campaign', () => {
  it('are for programs of this machine, unless another address is given', () => {
    expect(said).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/ \(for programs of this machine alone\)/);
    expect(addressOf('8080')).toEqual({ host: '127.0.0.1', port: 8080 });
    expect(addressOf('0.0.0.0:1')).toEqual({ host: '0.0.0.0', port: 1 });
    expect(addressOf('[::1]:65535')).toEqual({ host: '::1', port: 65_535 });
    for (const wrong of ['', 'x', '65536', 'a:b', 'a:', ':1', '::1:2', '1 2:3']) {
      expect(() => addressOf(wrong)).toThrow(/HOST:PORT or PORT/);
    }
    expect(['localhost', '127.0.0.1', '::1', '0.0.0.0', '127.example.org'].map(isLoopback)).toEqual(
      [true, true, true, false, false],
    );
  });

  it('tell how far it is, and lead to the schedule of each failure', async () => {
    const [status, html, headers] = await get('');
    expect([status, headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    // Nobody works on it.
    expect(headers.get('refresh')).toBeNull();
    expect(html).toContain('runs: 40 of 100');
    expect(html).toContain('worked on: by nobody');
    expect(html).toMatch(/<svg[^>]*>/);
    expect(html).not.toMatch(/(?:src|href)="https?:/);
    const links = [...html.matchAll(/href="\/failure\/(\d+)"/g)].map(([, n]) => Number(n));
    expect(links.length).toBeGreaterThan(3);
    expect(links).toEqual(links.map((_, i) => i + 1));
    const [ok, page] = await get(`failure/${links.length}`);
    expect(ok).toBe(200);
    expect(page).toMatch(/vlbr replay v1\./);
    expect(page).toContain('Decided by ');
  });

  it('have the state as JSON and for Prometheus', async () => {
    const [, json, headers] = await get('status.json?x=1');
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(JSON.parse(json)).toMatchObject({ runs: 40, runsAsked: 100, subjects: 2, owner: null });
    const printed = spawnSync(
      process.execPath,
      [cli, 'campaign', 'status', join(folder, 'campaign'), '--json'],
      { encoding: 'utf8' },
    );
    expect(wrongWithPrinted(printed.stdout)).toEqual([]);
    expect(JSON.parse(printed.stdout)).toMatchObject(JSON.parse(json) as object);
    const [, metrics] = await get('metrics');
    expect(metrics).toMatch(/^# TYPE vlbr_campaign_runs gauge\nvlbr_campaign_runs 40$/m);
    expect(metrics).toMatch(/^vlbr_campaign_owned 0$/m);
    expect(
      metrics.split('\n').filter((line) => !/^(#|vlbr_campaign_[a-z_]+ \d+$|$)/.test(line)),
    ).toEqual([]);
  });

  it('can only be read, and are no others', async () => {
    expect((await get('', 'POST'))[0]).toBe(405);
    expect((await get('', 'DELETE'))[0]).toBe(405);
    expect((await get('', 'HEAD')).slice(0, 2)).toEqual([200, '']);
    for (const path of ['failure/0', 'failure/999', 'failure/x', 'failures', '../etc/passwd']) {
      expect([path, (await get(path))[0]]).toEqual([path, 404]);
    }
  });

  it('follow what the owner writes, and refresh while there is one', async () => {
    const owner = Directory.own(join(folder, 'campaign'));
    const done = doUnit(optionsOf(ASKED, 1), { kind: 'runs', range: { from: 20, to: 40 } });
    const findings = owner.keepRange(1, 1, crossed(done) as RunsDone);
    expect(findings.ranges).toBe(2);
    owner.keepOwner(process.pid);
    const [, html, headers] = await get('');
    expect(html).toContain('runs: 60 of 100');
    expect(html).toContain(`worked on: by process ${process.pid}`);
    expect(headers.get('refresh')).toBe('5');
    owner.close();
    expect(withRange(findings, crossed(done) as RunsDone).ranges).toBe(3);
  });

  it('say in one sentence that another program listens there', () => {
    const { port } = new URL(url);
    const words = ['campaign', 'status', join(folder, 'campaign'), '--serve', port];
    const { status, stderr } = spawnSync(process.execPath, [cli, ...words], { encoding: 'utf8' });
    expect(stderr).toMatch(/^vlbr: --serve [^\n]*: another program listens there; [^\n]*\n$/);
    expect(status).toBe(2);
  });

  it.skipIf(!hasBrowser)(
    'cut no text on a phone and a desk, and have nothing serious for axe',
    async () => {
      const browser = await openBrowser();
      const page = await browser.newPage();
      const errors: string[] = [];
      page.on('pageerror', ({ message }) => errors.push(message));
      page.on('console', (message) => errors.push(message.text()));
      await page.goto(url);
      for (const [width, colorScheme] of [
        [400, 'light'],
        [1440, 'dark'],
      ] as const) {
        await page.setViewportSize({ width, height: 700 });
        await page.emulateMedia({ colorScheme });
        const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
        const wrong = await page.evaluate<string[]>(BAD_BOXES);
        // What a drawing has is where it is drawn, and no box of the page.
        expect([over, ...wrong.filter((html) => !/^<(?:svg|text)/.test(html))]).toEqual([0]);
        expect(await seriousOn(page)).toEqual([]);
      }
      await browser.close();
      expect(errors).toEqual([]);
    },
  );

  it('end with the signal that ends them', async () => {
    const exit = once(server, 'exit');
    server.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
  });
});
