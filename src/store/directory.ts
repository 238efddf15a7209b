/**
 * The directory of a campaign: what is asked, the code that runs, and what was found, in one SQLite
 * database. One process at a time owns it and writes; any other may read meanwhile. Whatever is
 * written is written in transactions, so a process that is killed leaves what was known.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { WriteError, UsageError } from '../console/errors.js';
import { ownVersion } from '../console/version.js';
import type { Report } from '../campaign/campaign.js';
import type { Asked } from './asked.js';
import { type Findings, NOTHING_FOUND, withRange } from './findings.js';
import type { RunsDone } from './unit.js';

/** The form of the tables. Another form gets another number. */
const FORM = 1;

const FILE = 'campaign.db';
/** Holds nothing: who owns the campaign has it locked, and the system lets go of the lock. */
const LOCK = 'owner.db';

const TABLES = `
  CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE code (sha256 TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE subject (number INTEGER PRIMARY KEY, findings TEXT NOT NULL, report TEXT) STRICT;
  CREATE TABLE range (subject INTEGER, number INTEGER, done TEXT NOT NULL,
    PRIMARY KEY (subject, number)) STRICT;
  CREATE TABLE sample (at_ms INTEGER NOT NULL, runs INTEGER NOT NULL, steps INTEGER NOT NULL,
    failures INTEGER NOT NULL) STRICT;
`;

/** How far a campaign was at a time. */
export interface Sample {
  /** Milliseconds since 1970. */
  readonly at_ms: number;
  readonly runs: number;
  readonly steps: number;
  /** Different failures of each policy together, with those of the kernel under it. */
  readonly failures: number;
}

/** Compiled code, by its SHA-256. */
export type CodeBytes = ReadonlyMap<string, Uint8Array>;

type Db = Database.Database;

/** What SQLite says, in a sentence for users. */
function explained(path: string, error: unknown): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  const { code, message } = error;
  if (code === 'SQLITE_FULL' || code.startsWith('SQLITE_IOERR') || code === 'SQLITE_READONLY') {
    return new WriteError(`${path}: it can't be written (${message}); what is in it is kept`);
  }
  if (code === 'SQLITE_CORRUPT' || code === 'SQLITE_NOTADB') {
    return new UsageError(
      `${join(path, FILE)} is damaged (${message}); put a copy of it back, or begin anew ` +
        'in another directory',
    );
  }
  return new UsageError(`${path}: ${message}`);
}

function trying<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw explained(path, error);
  }
}

/** A campaign's directory, open for reading, or for its owner. */
export class Directory {
  readonly path: string;
  readonly asked: Asked;
  private readonly db: Db;
  private readonly lock: Db | null;

  private constructor(path: string, db: Db, lock: Db | null) {
    this.path = path;
    this.db = db;
    this.lock = lock;
    this.asked = JSON.parse(this.about('asked')) as Asked;
  }

  /**
   * Makes a directory for a new campaign, and owns it.
   *
   * @throws UsageError where there is something else. @throws WriteError
   */
  static create(path: string, asked: Asked, code: CodeBytes): Directory {
    if (existsSync(join(path, FILE))) {
      throw new UsageError(
        `${path} has a campaign; go on with it by: vlbr campaign resume ${path}`,
      );
    }
    if (existsSync(path) && readdirSync(path).length > 0) {
      throw new UsageError(`${path} is not empty; name a new directory for the campaign`);
    }
    try {
      if (!existsSync(path)) mkdirSync(path);
    } catch (error) {
      throw new WriteError(error instanceof Error ? error.message : String(error));
    }
    return trying(path, () => {
      const lock = owned(path);
      const db = new Database(join(path, FILE));
      db.pragma('journal_mode = WAL');
      const set = db.transaction(() => {
        db.exec(TABLES);
        db.pragma(`user_version = ${FORM}`);
        const about = db.prepare('INSERT INTO about VALUES (?, ?)');
        about.run('asked', JSON.stringify(asked));
        about.run('vlbr', ownVersion());
        about.run('id', randomUUID());
        for (const [sha256, bytes] of code) {
          db.prepare('INSERT INTO code VALUES (?, ?)').run(sha256, bytes);
        }
      });
      set();
      return new Directory(path, db, lock);
    });
  }

  /** Opens a campaign to read. @throws UsageError if there is none that can be read. */
  static read(path: string): Directory {
    return trying(path, () => new Directory(path, opened(path, true), null));
  }

  /**
   * Opens a campaign to go on with it.
   *
   * @throws UsageError if there is none, if another process owns it, or for another vlbr's.
   */
  static own(path: string): Directory {
    return trying(path, () => {
      opened(path, true).close();
      const lock = owned(path);
      const directory = new Directory(path, opened(path, false), lock);
      const made = directory.about('vlbr');
      if (made === ownVersion()) return directory;
      directory.close();
      throw new UsageError(
        `${path} was begun by vlbr ${made}, and this is ${ownVersion()}: what two versions find ` +
          "can't be put together; go on with that one, or begin a new campaign",
      );
    });
  }

  close(): void {
    this.db.close();
    this.lock?.close();
  }

  /** Process that owns the campaign; null if none does. */
  get owner(): number | null {
    if (this.lock !== null) return process.pid;
    try {
      owned(this.path).close();
      return null;
    } catch {
      return Number(this.about('owner'));
    }
  }

  /** Tells this campaign from every other at a queue. */
  get id(): string {
    return this.about('id');
  }

  private about(key: string): string {
    const row = this.db.prepare('SELECT value FROM about WHERE key = ?').get(key);
    return (row as { value: string } | undefined)?.value ?? '';
  }

  /** The compiled code with a hash. */
  code(sha256: string): Uint8Array {
    const row = this.db.prepare('SELECT bytes FROM code WHERE sha256 = ?').get(sha256);
    if (row === undefined) throw new UsageError(`${this.path} has no code ${sha256}`);
    return new Uint8Array((row as { bytes: Buffer }).bytes);
  }

  /** What is known of a subject. */
  findings(subject: number): Findings {
    const row = this.db.prepare('SELECT findings FROM subject WHERE number = ?').get(subject);
    if (row === undefined) return NOTHING_FOUND;
    return JSON.parse((row as { findings: string }).findings) as Findings;
  }

  /** The verdicts on a subject; null until all of its work is done. */
  report(subject: number): Report | null {
    const row = this.db.prepare('SELECT report FROM subject WHERE number = ?').get(subject);
    const text = (row as { report: string | null } | undefined)?.report ?? null;
    return text === null ? null : (JSON.parse(text) as Report);
  }

  /** Ranges of a subject that are done, and were not put together with those before them. */
  waiting(subject: number): number[] {
    const rows = this.db.prepare('SELECT number FROM range WHERE subject = ?').all(subject);
    return (rows as { number: number }[]).map(({ number }) => number);
  }

  samples(): Sample[] {
    return this.db.prepare('SELECT * FROM sample ORDER BY rowid').all() as Sample[];
  }

  /**
   * Keeps what a range of runs has found, and puts together what follows without a gap.
   *
   * Returns what is known of the subject now.
   */
  keepRange(subject: number, number: number, done: RunsDone): Findings {
    return this.writing(() => {
      const { db } = this;
      let findings = this.findings(subject);
      // Another process may have done it meanwhile.
      if (number < findings.ranges) return findings;
      const insert = db.prepare('INSERT OR IGNORE INTO range VALUES (?, ?, ?)');
      insert.run(subject, number, JSON.stringify(done));
      const take = db.prepare('DELETE FROM range WHERE subject = ? AND number = ? RETURNING done');
      for (;;) {
        const row = take.get(subject, findings.ranges) as { done: string } | undefined;
        if (row === undefined) break;
        findings = withRange(findings, JSON.parse(row.done) as RunsDone);
      }
      this.put(subject, findings);
      return findings;
    });
  }

  keepFindings(subject: number, findings: Findings): void {
    this.writing(() => this.put(subject, findings));
  }

  keepReport(subject: number, report: Report): void {
    this.writing(() =>
      this.db
        .prepare('UPDATE subject SET report = ? WHERE number = ?')
        .run(JSON.stringify(report), subject),
    );
  }

  keepSample({ at_ms, runs, steps, failures }: Sample): void {
    this.writing(() =>
      this.db.prepare('INSERT INTO sample VALUES (?, ?, ?, ?)').run(at_ms, runs, steps, failures),
    );
  }

  /** Says who owns the campaign from now on. */
  keepOwner(pid: number): void {
    this.writing(() =>
      this.db.prepare("INSERT OR REPLACE INTO about VALUES ('owner', ?)").run(String(pid)),
    );
  }

  private put(subject: number, findings: Findings): void {
    this.db
      .prepare(
        'INSERT INTO subject (number, findings) VALUES (?, ?) ' +
          'ON CONFLICT (number) DO UPDATE SET findings = excluded.findings',
      )
      .run(subject, JSON.stringify(findings));
  }

  private writing<T>(run: () => T): T {
    return trying(this.path, () => this.db.transaction(run).immediate());
  }
}

/** How long to wait for somebody who only looks whether a campaign is owned. */
const LOOK_MS = 500;

/** Locks a campaign. @throws UsageError if another process owns it. */
function owned(path: string): Db {
  const lock = new Database(join(path, LOCK), { timeout: LOOK_MS });
  try {
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    if (error instanceof Database.SqliteError && error.code === 'SQLITE_BUSY') {
      throw new UsageError(
        `${path} is being worked on by another process; vlbr campaign stop ${path} ends that one`,
      );
    }
    throw error;
  }
}

function opened(path: string, readonly: boolean): Db {
  const file = join(path, FILE);
  if (!existsSync(file)) {
    throw new UsageError(`${path}: there is no campaign; begin one by: vlbr campaign run ${path}`);
  }
  const db = new Database(file, { readonly });
  const form = db.pragma('user_version', { simple: true });
  if (form !== FORM) {
    db.close();
    throw new UsageError(
      `${path} has form ${String(form)}, and this vlbr knows form ${FORM}: use the vlbr that ` +
        'has made it',
    );
  }
  const [{ quick_check }] = db.pragma('quick_check(1)') as { quick_check: string }[];
  if (quick_check === 'ok') return db;
  db.close();
  throw new UsageError(
    `${file} is damaged (${quick_check}); put a copy of it back, or begin anew in another ` +
      'directory',
  );
}
