/** Patches as they lie in files: diffs, mails, and boxes of mails. */
import PostalMime from 'postal-mime';

/** A file of patches, in the order in which they apply. */
export interface PatchFile {
  readonly name: string;
  readonly text: string;
}

/** One mail of a series, or one file of diffs. */
export interface Patch {
  /** Subject of the mail, or the name of the file. */
  readonly title: string;
  /** Headers and hunks of its diffs, and no other line. */
  readonly diff: string;
}

/** The line before a mail in a box: as git, mail readers and archives write it. */
const SEPARATOR = /^From \S.* \d{2}:\d{2}:\d{2} .*\d{4}.*$/;
const HEADER = /^(?:From|Subject|Date|Message-I[Dd]|To|MIME-Version|Received|Return-Path):/;

/** The mails of a box; a text without mails is one. */
function mailsIn(text: string): string[] {
  const mails: string[][] = [[]];
  let before = '';
  for (const line of text.split('\n')) {
    if (SEPARATOR.test(line) && before.trim() === '') mails.push([]);
    // In a box a line of a mail that begins with From is quoted.
    else mails[mails.length - 1].push(line.replace(/^>(>*From )/, '$1'));
    before = line;
  }
  return mails.map((lines) => lines.join('\n')).filter((mail) => mail.trim() !== '');
}

function isMail(text: string): boolean {
  return HEADER.test(text.trimStart());
}

/** The text of a mail, whatever it is encoded in, with the patches that are attached to it. */
async function textOf(mail: string): Promise<{ readonly subject: string; readonly text: string }> {
  const parsed = await PostalMime.parse(mail.trimStart());
  const attached = parsed.attachments
    .filter(
      ({ mimeType, filename }) =>
        mimeType.startsWith('text/') || /\.(patch|diff)$/.test(filename ?? ''),
    )
    .map(({ content }) => (typeof content === 'string' ? content : decoded(content)));
  const text = [parsed.text ?? '', ...attached].join('\n');
  return { subject: parsed.subject ?? 'a mail without a subject', text };
}

function decoded(content: ArrayBuffer | Uint8Array): string {
  return new TextDecoder().decode(content);
}

/** Lines of git between two diffs that say what becomes of a file. */
const GIT_HEADER =
  /^(?:diff --git|index|(?:old|new)(?: file)? mode|deleted file mode|\w+ index|rename|copy) /;
const HUNK = /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/;

/**
 * Headers and hunks of the diffs in a text, and no other line: what comes before a diff, signatures
 * and the footers of mailing lists are left out. A hunk is as long as its first line says.
 */
export function diffIn(text: string): string {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  const kept: string[] = [];
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    if (GIT_HEADER.test(line)) kept.push(line);
    if (line.startsWith('--- ') && lines[i + 1]?.startsWith('+++ ') === true) {
      kept.push(line, lines[++i]);
      continue;
    }
    const hunk = HUNK.exec(line);
    if (hunk === null) continue;
    kept.push(line);
    let [old, now] = [hunk[1], hunk[2]].map((n) => Number(n ?? 1));
    while ((old > 0 || now > 0) && i + 1 < lines.length) {
      // Mail programs drop the space of an empty line of context.
      const next = lines[++i] === '' ? ' ' : lines[i];
      kept.push(next);
      if (next[0] === ' ' || next[0] === '-') old--;
      if (next[0] === ' ' || next[0] === '+') now--;
    }
    while (lines[i + 1]?.startsWith('\\') === true) kept.push(lines[++i]);
  }
  return kept.length === 0 ? '' : `${kept.join('\n')}\n`;
}

/** The patches in a file, in order; a mail without a diff, such as a cover letter, is none. */
export async function patchesIn({ name, text }: PatchFile): Promise<Patch[]> {
  const patches: Patch[] = [];
  for (const part of mailsIn(text.replaceAll('\r\n', '\n'))) {
    const mail = isMail(part) ? await textOf(part) : { subject: name, text: part };
    const diff = diffIn(mail.text);
    if (diff !== '') patches.push({ title: mail.subject, diff });
  }
  return patches;
}
