/** Where the queue of a campaign is: --queue, and what belongs to it. */
import { type Command, Option } from 'commander';
import { UsageError } from './errors.js';
import { smallFile } from './small_file.js';

/** As commander hands them over. */
export interface QueueOptions {
  readonly queue?: string;
  readonly queuePasswordFile?: string;
  readonly queueCa?: string;
}

/** A Redis or Valkey server, and one of its databases. */
export interface QueueAddress {
  /** As messages name it. It has no password in it. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly username?: string;
  readonly password?: string;
  /** Which certificates are trusted, by default those that Node trusts; left out without TLS. */
  readonly tls?: { readonly ca?: string };
}

/** Variable of the environment that holds the password. */
const PASSWORD = 'VLBR_QUEUE_PASSWORD';

const PORT = 6379;

const QUEUE_SAYS = 'redis://[USER@]HOST[:PORT][/DATABASE], or rediss:// for TLS';

/** What --help says of passwords. */
export const QUEUE_HELP: string = `
The queue:
  A server of Redis (6.2 or newer) or Valkey. Its password comes from the environment
  (${PASSWORD}) or from --queue-password-file, since the words of a command line can be seen by
  every user of the machine. Whoever can write to the queue can give workers code to run
  (WebAssembly alone) and results to owners: use a password and TLS on a network of others.`;

/**
 * Adds --queue, --queue-password-file and --queue-ca.
 *
 * @param what - what --queue is for.
 */
export function addQueueOptions(command: Command, what: string, isWanted: boolean): Command {
  return command
    .addOption(new Option('--queue <url>', `${what}: ${QUEUE_SAYS}`).makeOptionMandatory(isWanted))
    .option('--queue-password-file <file>', `password of the queue; by default, $${PASSWORD}`)
    .option('--queue-ca <file>', 'certificates (PEM) to trust for rediss://');
}

/** The queue that options may name; null if they name none. @throws as `queueAddress` */
export function optionalQueue({ queue, ...others }: QueueOptions): QueueAddress | null {
  if (queue !== undefined) return queueAddress({ queue, ...others });
  const { queuePasswordFile, queueCa } = others;
  if (queuePasswordFile === undefined && queueCa === undefined) return null;
  const name = queueCa === undefined ? '--queue-password-file' : '--queue-ca';
  throw new UsageError(`${name} belongs to --queue, which is missing`);
}

/**
 * The queue that options name.
 *
 * @throws UsageError for options that do not go together, and for a file that can't be read.
 */
export function queueAddress({
  queue,
  queuePasswordFile,
  queueCa,
}: QueueOptions & { readonly queue: string }): QueueAddress {
  const { protocol, username, ...place } = placeOf(queue);
  const isTls = protocol === 'rediss:';
  if (queueCa !== undefined && !isTls) {
    throw new UsageError('--queue-ca is for TLS: write rediss:// in place of redis://');
  }
  const ca = queueCa === undefined ? {} : { ca: textOf('--queue-ca', queueCa) };
  const password =
    queuePasswordFile === undefined
      ? process.env[PASSWORD]
      : textOf('--queue-password-file', queuePasswordFile).replace(/\r?\n$/, '');
  if (password === undefined && username !== '') {
    throw new UsageError(
      `--queue names the user ${username}: put the password into ${PASSWORD}, or name its file ` +
        'by --queue-password-file',
    );
  }
  return {
    ...place,
    ...(username === '' ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(isTls ? { tls: ca } : {}),
  };
}

function placeOf(
  text: string,
): Pick<QueueAddress, 'url' | 'host' | 'port' | 'db'> & { protocol: string; username: string } {
  const wrong = new UsageError(`--queue takes ${QUEUE_SAYS}`);
  if (!URL.canParse(text)) throw wrong;
  const { protocol, hostname, port, pathname, username, password, search, hash } = new URL(text);
  if (password !== '') {
    throw new UsageError(
      `--queue must have no password in it, since every user of this machine can see it: put it ` +
        `into ${PASSWORD}, or name a file that has it by --queue-password-file`,
    );
  }
  const [, db] = /^(?:\/(\d{0,5}))?$/.exec(pathname) ?? [null, null];
  const user = decoded(username);
  const isOdd = db === null || user === null || hostname === '' || search !== '' || hash !== '';
  if (isOdd || (protocol !== 'redis:' && protocol !== 'rediss:')) throw wrong;
  const at = username === '' ? '' : `${username}@`;
  const where = {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(port === '' ? PORT : port),
    db: Number(db ?? 0),
  };
  const url = `${protocol}//${at}${hostname}:${where.port}/${where.db}`;
  return { ...where, url, protocol, username: user };
}

/** Null for what is not encoded as a URL has it. */
function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function textOf(option: string, path: string): string {
  try {
    return smallFile(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${option}: ${why}`);
  }
}
