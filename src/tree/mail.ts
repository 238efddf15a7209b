/** Patches as they lie in files: diffs, mails, and boxes of mails. */

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
/** A line of a mail's head: a name and a colon, or the rest of the line before. */
const HEAD_LINE = /^(?:[!-9;-~]+:|[ \t])/;

/** The mails of a box; a text without mails is one. */
function mailsIn(text: string): string[] {
  const mails: string[][] = [[]];
  for (const line of text.split('\n')) {
    if (SEPARATOR.test(line)) mails.push([]);
    // In a box a line of a mail that begins with From is quoted.
    else mails[mails.length - 1].push(line.replace(/^>(>*From )/, '$1'));
  }
  return mails.map((lines) => lines.join('\n')).filter((mail) => mail.trim() !== '');
}

/** A mail begins with a head, which says at least from whom it is or what it is about. */
function isMail(text: string): boolean {
  const [head] = text.trimStart().split('\n\n', 1);
  return (
    /^(?:From|Subject):/im.test(head) && head.split('\n').every((line) => HEAD_LINE.test(line))
  );
}

/** The text of a mail, whatever it is encoded in, with the patches that are attached to it. */
async function textOf(mail: string): Promise<{ readonly subject: string; readonly text: string }> {
  // Only who gives a mail waits for what reads mails.
  const { default: PostalMime } = await import('postal-mime');
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
  /^(?:diff --git|index|(?:(?:new|deleted) file|old|new) mode|\w*similarity index|rename|copy) /;
const HUNK = /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/;

/** The lines of a hunk from its head on, which says how many there are. */
function hunkAt(lines: readonly string[], at: number, head: RegExpExecArray): string[] {
  const hunk = [lines[at]];
  let [old, now] = [head[1], head[2]].map((n) => Number(n ?? 1));
  let i = at + 1;
  for (; (old > 0 || now > 0) && i < lines.length; i++) {
    // Mail programs drop the space of an empty line of context.
    const line = lines[i] === '' ? ' ' : lines[i];
    hunk.push(line);
    if (line[0] === ' ' || line[0] === '-') old--;
    if (line[0] === ' ' || line[0] === '+') now--;
  }
  while (lines[i]?.startsWith('\\') === true) hunk.push(lines[i++]);
  return hunk;
}

/**
 * Headers and hunks of the diffs in a text, and no other line: what comes before a diff, signatures
 * and the footers of mailing lists are left out. A hunk is as long as its first line says, and
 * comes behind the names of its file or another hunk: what a message quotes is no hunk.
 */
export function diffIn(text: string): string {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  const kept: string[] = [];
  let named = false;
  let hasDiff = false;
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    const hunk = named ? HUNK.exec(line) : null;
    if (hunk !== null) {
      const all = hunkAt(lines, i, hunk);
      kept.push(...all);
      i += all.length - 1;
      continue;
    }
    named = line.startsWith('--- ') && lines[i + 1]?.startsWith('+++ ') === true;
    hasDiff ||= named || line.startsWith('diff --git ');
    if (named) kept.push(line, lines[++i]);
    else if (GIT_HEADER.test(line)) kept.push(line);
  }
  return hasDiff ? `${kept.join('\n')}\n` : '';
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
