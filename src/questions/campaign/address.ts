/** Where pages are shown. */
import { isIPv4 } from 'node:net';
import { InvalidArgumentError } from 'commander';

export interface Address {
  readonly host: string;
  readonly port: number;
}

const LOOPBACK = '127.0.0.1';

/** A parser of HOST:PORT or PORT, for commander. An IPv6 address stands in brackets. */
export function addressOf(text: string): Address {
  const [, v6, name, digits] = /^(?:\[([\da-f:]+)\]:|([^:\s[\]]+):)?(\d{1,5})$/i.exec(text) ?? [];
  const port = Number(digits);
  if (digits !== undefined && port <= 0xffff) return { host: v6 ?? name ?? LOOPBACK, port };
  throw new InvalidArgumentError('It must be HOST:PORT or PORT, as 127.0.0.1:8080.');
}

/** Whether only programs of this machine reach it. */
export function isLoopback(host: string): boolean {
  const isOf127 = isIPv4(host) && host.startsWith('127.');
  return host === 'localhost' || host === '::1' || isOf127;
}
