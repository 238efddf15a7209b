/** A server of Redis that a test starts on loopback, if this machine has one. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

function found(): boolean {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn('\nSKIPPED: queues, since redis-server is not installed\n');
    return false;
  }
}

/** If it is false, the reason has been printed. */
export const hasRedis: boolean = found();

export interface TestRedis {
  readonly port: number;
  readonly url: string;
  readonly process: ChildProcess;
  /** Ends it at once: it keeps nothing. */
  stop(): Promise<void>;
}

/** A port that nobody listens at. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a server has a port');
  return address.port;
}

/**
 * Starts a server that keeps everything in memory.
 *
 * @param port - by default, one that is free.
 */
export async function startRedis(port?: number, ...more: readonly string[]): Promise<TestRedis> {
  const at = port ?? (await freePort());
  const dir = mkdtempSync(join(tmpdir(), 'vlbr-redis-'));
  const kept = ['--save', '', '--appendonly', 'no', '--dir', dir];
  const args = ['--port', String(at), '--bind', '127.0.0.1', ...kept, ...more];
  const server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(server, 'exit');
  let said = '';
  for await (const chunk of server.stdout.setEncoding('utf8')) {
    said += String(chunk);
    if (said.includes('Ready to accept connections')) break;
  }
  if (!said.includes('Ready')) throw new Error(`redis-server does not start: ${said}`);
  return {
    port: at,
    url: `redis://127.0.0.1:${at}/0`,
    process: server,
    stop: async () => {
      server.kill('SIGKILL');
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
