/** A matrix of verdicts as a page: each cell leads to its counterexample, in the same file. */
import type { JSX } from 'preact';
import { htmlDocument } from './document.js';
import { OwnerKey } from './record_chip.js';
import { StoryArticle, type Told } from './story_article.js';
import { idsOf } from './story_page.js';

/** A verdict on a property under a policy. */
export interface MatrixCell {
  /** In words: `holds`, `FAILS`. */
  readonly word: string;
  readonly fails: boolean;
  /** Whether it is the expected one. */
  readonly expected: boolean;
  /** Why it is as it is; may be empty. */
  readonly note: string;
  /** The counterexample, if there is one. */
  readonly told: Told | null;
}

/** A row of the matrix. */
export interface MatrixRow {
  readonly policy: string;
  /** A cell for each property, in the order of the columns; null where the end came before. */
  readonly cells: readonly (MatrixCell | null)[];
}

/** What a page of verdicts shows. */
export interface Matrix {
  /** `vlbr verify`. */
  readonly command: string;
  /** What was run and what came of it, in lines. The first one is the heading. */
  readonly lines: readonly string[];
  readonly properties: readonly string[];
  readonly rows: readonly MatrixRow[];
  /** Counterexamples that belong to no cell, such as those of the guest's kernel by itself. */
  readonly others: readonly Told[];
  /** What else a report tells, as its lines: each note is a block of its own. */
  readonly notes?: readonly (readonly string[])[];
}

/** The text of an HTML file. */
export function matrixPage(matrix: Matrix): string {
  const { command, lines, rows, others, notes = [] } = matrix;
  const [heading, ...rest] = lines;
  const found = rows.flatMap(({ cells }) => cells.flatMap((cell) => cell?.told ?? []));
  const all = [...found, ...others];
  // The matrix is an entry of the page, so even a single article has a name.
  const names = idsOf(all, true);
  const ids = new Map(all.map((told, i) => [told, names[i]]));
  const vms = Math.max(0, ...all.map(({ story }) => story.shape.vms));
  return htmlDocument(
    command,
    <>
      <h1>{heading}</h1>
      <div class="mx">
        {rest.map((line) => (
          <p>{line}</p>
        ))}
        {rows.length === 0 ? null : <MatrixTable matrix={matrix} ids={ids} />}
        {others.length === 0 ? null : <Others others={others} ids={ids} />}
        {notes.map((note) => (
          <pre>{note.join('\n').trim()}</pre>
        ))}
        {all.length === 0 ? null : <OwnerKey vms={vms} />}
      </div>
      {all.map((told) => (
        <StoryArticle told={told} id={ids.get(told) ?? ''} />
      ))}
    </>,
  );
}

type Ids = ReadonlyMap<Told, string>;

function MatrixTable({
  matrix: { properties, rows },
  ids,
}: {
  readonly matrix: Matrix;
  readonly ids: Ids;
}): JSX.Element {
  // The roles are those of the elements, which a narrow screen shows as blocks.
  return (
    <table class="m" role="table">
      <thead role="rowgroup">
        <tr role="row">
          <th role="columnheader" scope="col">
            policy
          </th>
          {properties.map((property) => (
            <th role="columnheader" scope="col">
              {property.split(/(?<=[-/])/).flatMap((part) => [part, <wbr />])}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map(({ policy, cells }) => (
          <tr role="row">
            <th role="rowheader" scope="row">
              {policy}
            </th>
            {cells.map((cell, i) => (
              <VerdictCell cell={cell} property={properties[i]} ids={ids} />
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function VerdictCell({
  cell,
  property,
  ids,
}: {
  readonly cell: MatrixCell | null;
  readonly property: string;
  readonly ids: Ids;
}): JSX.Element {
  if (cell === null) {
    return (
      <td role="cell" class="na" data-p={property}>
        not judged
      </td>
    );
  }
  const { word, fails, expected, note, told } = cell;
  const kind = fails ? 'no' : word === 'holds' ? 'ok' : 'na';
  return (
    <td role="cell" class={kind} data-p={property} title={note === '' ? undefined : note}>
      {told === null ? word : <a href={`#${ids.get(told) ?? ''}`}>{word}</a>}
      {expected ? null : <em>unexpected</em>}
    </td>
  );
}

function Others({
  others,
  ids,
}: {
  readonly others: readonly Told[];
  readonly ids: Ids;
}): JSX.Element {
  return (
    <ul class="ot">
      {others.map((told) => (
        <li>
          <a href={`#${ids.get(told) ?? ''}`}>{told.title}</a>
        </li>
      ))}
    </ul>
  );
}
