import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UsageError } from '../../src/console/errors.js';
import { optionalQueue, queueAddress } from '../../src/console/queue_options.js';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vlbr-queue-options-'));
  vi.stubEnv('VLBR_QUEUE_PASSWORD', undefined);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('the address of a queue', () => {
  it('a host alone always stands for port 6379 and database 0', () => {
    const url = 'redis://queue.example.org:6379/0';
    const address = { url, host: 'queue.example.org', port: 6379, db: 0 };
    expect(queueAddress({ queue: 'redis://queue.example.org' })).toEqual(address);
    expect(queueAddress({ queue: 'redis://queue.example.org/' })).toEqual(address);
  });
  it('a port, a database and an IPv6 host are always as the URL has them', () => {
    const address = { url: 'redis://[::1]:7000/12', host: '::1', port: 7000, db: 12 };
    expect(queueAddress({ queue: 'redis://[::1]:7000/12' })).toEqual(address);
  });
  it('the user of the URL always comes with the password of the environment', () => {
    vi.stubEnv('VLBR_QUEUE_PASSWORD', 'geheim');
    const { url, username, password } = queueAddress({ queue: 'redis://c%20i@h/1' });
    expect({ url, username, password }).toEqual({
      url: 'redis://c%20i@h:6379/1',
      username: 'c i',
      password: 'geheim',
    });
  });
  it('a file with the password always goes before the environment, without its newline', () => {
    vi.stubEnv('VLBR_QUEUE_PASSWORD', 'other');
    const queuePasswordFile = file('password', ' of a file\r\n');
    expect(queueAddress({ queue: 'redis://h', queuePasswordFile }).password).toBe(' of a file');
  });
  it('rediss always asks for TLS, with the certificates of a file if one is given', () => {
    expect(queueAddress({ queue: 'rediss://h' })).toMatchObject({
      url: 'rediss://h:6379/0',
      tls: {},
    });
    const queueCa = file('ca.pem', 'PEM');
    expect(queueAddress({ queue: 'rediss://h', queueCa }).tls).toEqual({ ca: 'PEM' });
  });
  it('without --queue there is no queue, and nothing that belongs to one is taken', () => {
    expect(optionalQueue({})).toBeNull();
    expect(optionalQueue({ queue: 'redis://h' })).toMatchObject({ host: 'h' });
    expect(() => optionalQueue({ queueCa: 'x' })).toThrow('--queue-ca belongs to --queue');
    expect(() => optionalQueue({ queuePasswordFile: 'x' })).toThrow(
      '--queue-password-file belongs to --queue',
    );
  });
  it.each([
    ['http://h', /^--queue takes redis:/],
    ['h:6379', /^--queue takes redis:/],
    ['redis://', /^--queue takes redis:/],
    ['redis:///0', /^--queue takes redis:/],
    ['redis://h/x', /^--queue takes redis:/],
    ['redis://h/0/1', /^--queue takes redis:/],
    ['redis://h?db=1', /^--queue takes redis:/],
    ['redis://%ff@h', /^--queue takes redis:/],
    ['redis://h#1', /^--queue takes redis:/],
    ['redis://u:p@h', /^--queue must have no password in it.*VLBR_QUEUE_PASSWORD/],
    ['redis://:p@h', /^--queue must have no password in it/],
    ['redis://u@h', /^--queue names the user u: put the password into VLBR_QUEUE_PASSWORD/],
  ])('%s is always refused in one sentence that does not tell a password', (queue, message) => {
    const refuse = (): unknown => queueAddress({ queue });
    expect(refuse).toThrow(UsageError);
    expect(refuse).toThrow(message);
    expect(refuse).not.toThrow(/:p@/);
  });
  it('certificates without TLS, and files that are not there, are always refused', () => {
    const gone = join(folder, 'gone');
    expect(() => queueAddress({ queue: 'redis://h', queueCa: gone })).toThrow('write rediss://');
    expect(() => queueAddress({ queue: 'rediss://h', queueCa: gone })).toThrow(/^--queue-ca: ENO/);
    expect(() => queueAddress({ queue: 'redis://h', queuePasswordFile: gone })).toThrow(
      /^--queue-password-file: ENOENT/,
    );
  });
});
