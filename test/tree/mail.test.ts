/** What comes out of the files in which patches lie: mails, boxes of mails, plain diffs. */
import { describe, expect, it } from 'vitest';
import { diffIn, type Patch, patchesIn } from '../../src/tree/mail.js';

const DIFF = `diff --git a/kernel/a.c b/kernel/a.c
index 0123456789ab..ba9876543210 100644
--- a/kernel/a.c
+++ b/kernel/a.c
@@ -1,4 +1,5 @@ int before(void)
 one
 
-two
+two = 2;
+	three = "\u00e9";
 four
`;

/** A mail as git format-patch writes it, with the separator of a box. */
function mail(subject: string, body: string, head = '', from = '0123456789abcdef'): string {
  const date = 'Mon Sep 17 00:00:00 2001';
  const top = `From ${from} ${date}\nFrom: A <a@example.org>\nDate: Mon, 1 Jan 2024 10:00:00 +0000`;
  return `${top}\nSubject: ${subject}\n${head}\n${body}`;
}

const MESSAGE = 'It was wrong.\n\nSigned-off-by: A <a@example.org>\n---\n kernel/a.c | 3 ++-\n\n';
const SIGNATURE = '-- \n2.39.5\n\n';

const of = (text: string): Promise<Patch[]> => patchesIn({ name: 'x.mbox', text });

/** The one diff of a file, which has one. */
async function diffOf(text: string): Promise<string> {
  const patches = await of(text);
  expect(patches).toHaveLength(1);
  return patches[0].diff;
}

function quotedPrintable(text: string): string {
  const bytes = [...new TextEncoder().encode(text)];
  const encoded = bytes.map((byte) => {
    const plain = byte === 10 || (byte >= 32 && byte < 127 && byte !== 61);
    return plain
      ? String.fromCharCode(byte)
      : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  });
  // A line is wrapped, and a space at its end is written as a number.
  return encoded
    .join('')
    .replaceAll(/^(.{60})(?=.)/gm, '$1=\n')
    .replaceAll(/ $/gm, '=20');
}

const TYPE = 'MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8';

describe('the patches in a file', () => {
  it('a plain diff keeps its headers and hunks, and is named after its file', async () => {
    expect(await of(DIFF)).toEqual([{ title: 'x.mbox', diff: DIFF }]);
    const head = 'commit 0123456789\nAuthor: A <a@example.org>\nDate:   now\n\n    words\n\n';
    expect(await of(head + DIFF)).toEqual([{ title: 'x.mbox', diff: DIFF }]);
  });

  it('a mail of git format-patch loses its message and its signature', async () => {
    const patches = await of(mail('[PATCH 1/2] perf: mend it', MESSAGE + DIFF + SIGNATURE));
    expect(patches).toEqual([{ title: '[PATCH 1/2] perf: mend it', diff: DIFF }]);
  });

  it('a series is its mails in order, without the cover letter', async () => {
    const other = DIFF.replaceAll('kernel/a.c', 'lib/b.c');
    const cover = mail(
      '[PATCH 0/2] series',
      'What it does.\n\n a | 2 ++\n rename me\n\n-- \n2\n\n',
    );
    const one = mail('[PATCH 1/2] one', MESSAGE + DIFF + SIGNATURE);
    const two = mail('[PATCH 2/2] two', MESSAGE + other + SIGNATURE);
    expect(await of(cover + one + two)).toEqual([
      { title: '[PATCH 1/2] one', diff: DIFF },
      { title: '[PATCH 2/2] two', diff: other },
    ]);
  });

  it("an archive's box has its own separators, and quotes lines that begin with From", async () => {
    const at = 'From mboxrd@z Thu Jan  1 00:00:00 1970\n';
    const [, rest] = mail('[PATCH] one', `>From here on\n>>From\n${MESSAGE}${DIFF}`).split(
      /^From .*\n/m,
    );
    const received = `Received: from a by b\n\tfor c; Mon, 1 Jan 2024\n${rest}`;
    const text = `${at}${received}${SIGNATURE}\n${at}${received.replace('one', 'two')}\n`;
    const patches = await of(text);
    expect(patches.map(({ title, diff }) => [title, diff === DIFF])).toEqual([
      ['[PATCH] one', true],
      ['[PATCH] two', true],
    ]);
  });

  it('b4 and others name the sender in the separator', async () => {
    for (const from of ['git@z', 'a@example.org', 'mboxrd@z']) {
      const text = mail('[PATCH] x', MESSAGE + DIFF, '', from);
      expect(await of(text + text)).toHaveLength(2);
    }
  });

  it('a mail without a separator is one, whatever its first header', async () => {
    const [, rest] = mail('[PATCH] x', MESSAGE + DIFF, `${TYPE}\n`).split(/^From .*\n/m);
    for (const first of ['', 'Delivered-To: b@example.org\n', 'X-Status: 0\n', '\n']) {
      expect(await of(first + rest)).toEqual([{ title: '[PATCH] x', diff: DIFF }]);
    }
  });

  it('quoted-printable and base64 are decoded', async () => {
    const body = MESSAGE + DIFF + SIGNATURE;
    const quoted = `${TYPE}\nContent-Transfer-Encoding: quoted-printable\n`;
    expect(quotedPrintable(body)).toContain('two =3D 2;');
    expect(await diffOf(mail('x', quotedPrintable(body), quoted))).toBe(DIFF);
    const base64 = Buffer.from(body).toString('base64').replaceAll(/.{76}/g, '$&\n');
    const head = `${TYPE}\nContent-Transfer-Encoding: base64\n`;
    expect(await diffOf(mail('x', base64, head))).toBe(DIFF);
  });

  it('format=flowed has a space more before lines that begin with one', async () => {
    const stuffed = (MESSAGE + DIFF).replaceAll(/^ (?=.)/gm, '  ').replaceAll(/^ $/gm, '');
    const head = `${TYPE}; format=flowed\n`;
    expect(await diffOf(mail('x', stuffed, head))).toBe(DIFF);
  });

  it('lines may end as on Windows', async () => {
    const text = mail('[PATCH] x', MESSAGE + DIFF + SIGNATURE, `${TYPE}\n`);
    const [patch, more] = await of((text + text).replaceAll('\n', '\r\n'));
    expect([patch, more]).toEqual([
      { title: '[PATCH] x', diff: DIFF },
      { title: '[PATCH] x', diff: DIFF },
    ]);
    expect(await diffOf(DIFF.replaceAll('\n', '\r\n'))).toBe(DIFF);
  });

  it.each([
    ['text/x-patch; name="0001-x.patch"', 'attachment'],
    ['text/plain; name="0001-x.patch"', 'attachment'],
    ['text/plain', 'inline'],
    ['application/octet-stream; name="x.diff"', 'attachment; filename="x.diff"'],
  ])('a patch may be attached to a mail, as %s', async (type, disposition) => {
    const part = (of_: string, how: string, text: string): string =>
      `--limit\nContent-Type: ${of_}\nContent-Disposition: ${how}\n\n${text}\n`;
    const body = part('text/plain', 'inline', 'See below.') + part(type, disposition, DIFF);
    const head = 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="limit"\n';
    expect(await diffOf(mail('x', `${body}--limit--\n`, head))).toBe(DIFF);
  });

  it('the footer of a mailing list is left out', async () => {
    const footer =
      '_______________\nlist mailing list\nlist@example.org\nhttp://example.org/list\n';
    expect(await diffOf(mail('x', MESSAGE + DIFF + SIGNATURE + footer))).toBe(DIFF);
    expect(await diffOf(mail('x', MESSAGE + DIFF + footer))).toBe(DIFF);
    expect(await diffOf(mail('x', `${MESSAGE}${DIFF}\n\n-- \nA sender\n+1 234\n`))).toBe(DIFF);
  });

  it('a message may quote what looks like a diff', async () => {
    const quoted = 'The hunk\n@@ -1,90 +1,90 @@\n+is wrong.\ncopy it\nindex it\n';
    expect(diffIn(quoted)).toBe('');
    expect(diffIn(quoted + DIFF).endsWith(DIFF)).toBe(true);
    expect(diffIn(quoted + DIFF)).not.toContain('90');
  });

  it('a mail program may drop the space of an empty line of context', async () => {
    expect(await diffOf(mail('x', MESSAGE + DIFF.replace('\n \n', '\n\n') + SIGNATURE))).toBe(DIFF);
  });

  it('a file may end without a newline', async () => {
    const end = '\\ No newline at end of file\n';
    for (const diff of [DIFF + end, DIFF.replace(' four\n', `-four\n${end}+five\n${end}`)]) {
      expect(await diffOf(mail('x', MESSAGE + diff + SIGNATURE))).toBe(diff);
    }
  });

  it('a removed line may look like a header or a signature', () => {
    const head = '--- a/x\n+++ b/x\n';
    const hunk = '@@ -1,3 +1,2 @@\n one\n--- a\n-- \n+++ b\n';
    expect(diffIn(`${head}${hunk}${SIGNATURE}`)).toBe(head + hunk);
  });

  it('what has no diff has no patch', async () => {
    for (const text of ['', 'words\n', mail('x', 'words\n'), 'rename it\n']) {
      expect(await of(text)).toEqual([]);
    }
  });

  it('git writes what becomes of a file without a hunk', async () => {
    const rename =
      'diff --git a/x.c b/y.c\nsimilarity index 100%\nrename from x.c\nrename to y.c\n';
    const empty = 'diff --git a/z b/z\nnew file mode 100644\nindex 000000000000..e69de29bb2d1\n';
    expect(await diffOf(mail('x', MESSAGE + rename + empty + SIGNATURE))).toBe(rename + empty);
  });
});
