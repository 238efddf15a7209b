/** `vlbr campaign status --serve`: the state of a campaign as pages. They can only be read. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { UsageError } from '../../console/errors.js';
import { Interrupt } from '../../console/interrupt.js';
import { codeOf } from '../../console/kernel_source.js';
import { printLines } from '../../console/output.js';
import { replayToken, withDriver } from '../../campaign/replay_file.js';
import type { Directory } from '../../store/directory.js';
import { guestText } from '../../tell/source_text.js';
import { storyPage } from '../../tell/picture/story_page.js';
import { toldOf } from '../../tell/picture/story_article.js';
import { type Address, isLoopback } from './address.js';
import { campaignPage } from './page.js';
import { failuresIn, type ToldFailure } from './report.js';
import { type Status, statusOf } from './status.js';
import { metricsText, statusJson } from './text.js';

/** Seconds after which a browser asks again while somebody works on the campaign. */
const REFRESH_S = 5;

interface Answer {
  readonly type: 'text/html' | 'application/json' | 'text/plain; version=0.0.4';
  readonly text: string;
  readonly refresh?: boolean;
}

/** What a path shows; null for one that there is not. */
async function answer(directory: Directory, path: string): Promise<Answer | null> {
  const now = statusOf(directory);
  const failures = failuresIn(directory);
  if (path === '/') {
    const text = await campaignPage(directory.path, now, failures);
    return { type: 'text/html', text, refresh: now.owner !== null };
  }
  if (path === '/status.json') {
    return { type: 'application/json', text: `${JSON.stringify(statusJson(now))}\n` };
  }
  if (path === '/metrics') return { type: 'text/plain; version=0.0.4', text: metricsText(now) };
  const number = Number(/^\/failure\/([1-9]\d{0,8})$/.exec(path)?.[1]);
  const failure = failures.at(number - 1);
  if (Number.isNaN(number) || failure === undefined) return null;
  return { type: 'text/html', text: failurePage(directory, now, failure) };
}

/** The schedule of a failure, step by step. */
function failurePage(directory: Directory, { asked }: Status, failure: ToldFailure): string {
  const { target: name, token, cause, count } = failure;
  const [first] = asked.targets;
  const target = asked.targets.find((one) => one.name === name) ?? first;
  const code = target.code === null ? null : codeOf(directory.code(target.code));
  const replay = replayToken(token);
  const told = toldOf(code === null ? replay : withDriver(replay, code.driver), {
    guest: guestText(target.kernel, code?.info ?? null),
    says: () => [`Decided by ${cause}. Met in ${count} of the failing runs that were looked at.`],
    replayWords: target.words,
  });
  return storyPage([told]);
}

/** Listens. @throws UsageError where it can't. */
async function listening(server: Server, { host, port }: Address): Promise<number> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    const why =
      code === 'EADDRINUSE' ? 'another program listens there' : `it can't listen (${code})`;
    throw new UsageError(`--serve ${host}:${port}: ${why}; name another HOST:PORT`);
  }
  const address = server.address();
  return address === null || typeof address === 'string' ? port : address.port;
}

/**
 * Shows a campaign until it is told to end.
 *
 * @throws UsageError where it can't listen.
 */
export async function serve(directory: Directory, address: Address): Promise<void> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '').replace(/\?.*/, '');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
      return;
    }
    answer(directory, path).then(
      (found) => {
        if (found === null) {
          response.writeHead(404, { 'content-type': 'text/plain' }).end('there is no such page\n');
          return;
        }
        const { type, text, refresh = false } = found;
        response.writeHead(200, {
          'content-type': type.includes(';') ? type : `${type}; charset=utf-8`,
          'cache-control': 'no-store',
          'x-content-type-options': 'nosniff',
          ...(refresh ? { refresh: String(REFRESH_S) } : {}),
        });
        response.end(request.method === 'HEAD' ? undefined : text);
      },
      (error: unknown) => {
        response.writeHead(500, { 'content-type': 'text/plain' });
        response.end(`${error instanceof Error ? error.message : String(error)}\n`);
      },
    );
  });
  const port = await listening(server, address);
  const { host } = address;
  const reach = isLoopback(host)
    ? 'for programs of this machine alone'
    : 'for whoever reaches this address: there is no password, and nothing can be changed';
  const shown = host.includes(':') ? `[${host}]` : host;
  printLines([`http://${shown}:${port}/ (${reach}); Ctrl-C ends it`]);
  const interrupt = new Interrupt({ update: () => {}, say: () => {}, end: () => {} });
  if (!interrupt.interrupted) await once(interrupt.signal, 'abort');
  interrupt.end();
  server.close();
  server.closeAllConnections();
}
