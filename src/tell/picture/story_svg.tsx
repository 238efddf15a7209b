/** The timeline of a story as a drawing, which needs nothing but a viewer of SVG. */
import type { JSX } from 'preact';
import { renderToString } from 'preact-render-to-string';
import { becauseText } from '../because.js';
import { type Cell, type Lane, lanesOf } from './lanes.js';
import { ownerClass, ownerLetter, ownerRules } from './owners.js';
import type { StoryRecord } from './stacks.js';
import { marksOf, type Story, type StoryStep } from './story.js';
import type { Told } from './story_article.js';

/** Sizes in pixels. Letters have one width, so that it is known where a line ends. */
const WIDTH = 1200;
const MARGIN = 20;
const FONT = 13;
/** No monospaced font that systems have is wider. */
const LETTER = FONT * 0.62;
const LINE = 19;
const LANE = 34;
const BLOCK = 24;
/** Records of a pCPU that are drawn. */
const BLOCKS = 4;
const STRIP = BLOCKS * BLOCK + 36;

/** Plain rules, which editors and slides know as well as browsers do. */
const STYLE = `
.bg { fill: #fff }
text { font: ${FONT}px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace;
  fill: #1b1b1b; white-space: pre }
.h1 { font-size: 20px; font-weight: bold }
.dim { fill: #595959 }
.b { font-weight: bold }
.bad { fill: #a8002d; font-weight: bold }
.mid { text-anchor: middle }
.rule { stroke: #d4d4d4 }
.mk { fill: #fff1c2 }
.wrong { fill: none; stroke: #a8002d; stroke-width: 2 }
.host { fill: none; stroke-width: 1.5 }
.guest { fill-opacity: .22 }
${ownerRules((name, colour) => `.${name} * { fill: ${colour}; stroke: ${colour} }`)}
.guest { stroke: none }
.host { fill: none }
@media (prefers-color-scheme: dark) {
  .bg { fill: #141517 }
  text { fill: #e8e8e8 }
  .dim { fill: #a8abb0 }
  .bad { fill: #ff8da1 }
  .wrong { stroke: #ff8da1 }
  .rule { stroke: #3b3e43 }
  .mk { fill: #3d3413 }
}`;

/** Stripes at the left of what is an owner's, by the owner's number: heights of dashes and gaps. */
const DASHES: readonly (readonly [dash: number, gap: number])[] = [
  [100, 0],
  [3, 2],
  [1, 2],
  [6, 3],
  [2, 4],
  [4, 1],
];

/** Breaks text into lines of at most so many letters; a word that is longer is broken. */
export function linesOf(text: string, letters: number): string[] {
  const pieces = text.split(' ').flatMap((word) => {
    return word.match(new RegExp(`.{1,${letters}}`, 'gu')) ?? [''];
  });
  const lines: string[] = [];
  let line: string | null = null;
  for (const piece of pieces) {
    if (line !== null && line.length + 1 + piece.length > letters) {
      lines.push(line);
      line = null;
    }
    line = line === null ? piece : `${line} ${piece}`;
  }
  return line === null ? lines : [...lines, line];
}

/** A row of the drawing: a step, and the lines of its sentence. */
interface Row {
  readonly step: StoryStep;
  readonly y: number;
  readonly height: number;
  readonly lines: readonly string[];
  readonly marks: readonly string[];
}

/** The text of an SVG file. */
export function storySvg({ story, title, guest, says }: Told): string {
  const lanes = lanesOf(story);
  const left = MARGIN + 3 * LETTER + 14;
  const strips = left + lanes.length * LANE + 12;
  const words = strips + story.steps[0].state.pcpus.length * STRIP + 8;
  // Many lanes leave no room beside them: the sentence then goes below.
  const below = WIDTH - MARGIN - words < 40 * LETTER;
  const textLeft = below ? left : words;
  const letters = Math.floor((WIDTH - MARGIN - textLeft) / LETTER);
  const head = headOf(story, guest, says);
  const top = MARGIN + 34 + head.length * LINE + 44;
  const rows: Row[] = [];
  for (const step of story.steps) {
    const last = rows[rows.length - 1];
    const y = last === undefined ? top : last.y + last.height;
    const who = step.who.split(' ')[0];
    const marks = marksOf(story, step.number);
    const lines = linesOf(`${who} ${step.sentence}`.trim(), letters);
    const height = (lines.length + marks.length + (below ? 1 : 0)) * LINE + 4;
    rows.push({ step, y, height, lines, marks });
  }
  const end = rows[rows.length - 1];
  const token = linesOf(`vlbr replay ${story.token}`, Math.floor((WIDTH - 2 * MARGIN) / LETTER));
  const height = end.y + end.height + 24 + token.length * LINE + MARGIN;
  const drawing = (
    <svg
      xmlns="http://www.w3.org/2000/svg"
      viewBox={`0 0 ${WIDTH} ${height}`}
      width={WIDTH}
      height={height}
      role="img"
      aria-label={title}
    >
      <desc>{`vlbr replay ${story.token}`}</desc>
      <style dangerouslySetInnerHTML={{ __html: STYLE }} />
      <rect class="bg" width={WIDTH} height={height} />
      <text class="h1" x={MARGIN} y={MARGIN + 16}>
        {title}
      </text>
      {head.map((line, i) => (
        <text class={line.bad ? 'bad' : 'dim'} x={MARGIN} y={MARGIN + 42 + i * LINE}>
          {line.text}
        </text>
      ))}
      <Heads story={story} lanes={lanes} left={left} strips={strips} y={top - 12} />
      {rows.map((row) => (
        <RowDrawing row={row} lanes={lanes} left={left} strips={strips} textLeft={textLeft} />
      ))}
      {token.map((line, i) => (
        <text x={MARGIN} y={end.y + end.height + 32 + i * LINE}>
          {line}
        </text>
      ))}
    </svg>
  );
  return `${renderToString(drawing)}\n`;
}

interface HeadLine {
  readonly text: string;
  readonly bad: boolean;
}

function headOf(story: Story, guest: string, says: readonly string[]): HeadLine[] {
  const { text, because, cpu, shape } = story;
  const letters = Math.floor((WIDTH - 2 * MARGIN) / LETTER);
  const all = [
    ...(text === '' ? [] : [{ text, bad: true }]),
    ...(because === null ? [] : [{ text: `because: ${becauseText(because)}`, bad: false }]),
    ...says.map((line) => ({ text: line, bad: false })),
    {
      text: `${cpu}, ${guest}, VMs: ${shape.vms}; blocks are records of a VM, or h: of the host`,
      bad: false,
    },
  ];
  return all.flatMap(({ text: line, bad }) =>
    linesOf(line, letters).map((part) => ({ text: part, bad })),
  );
}

interface Places {
  readonly lanes: readonly Lane[];
  /** Where the lanes and the strips of records begin. */
  readonly left: number;
  readonly strips: number;
}

function Heads({
  story,
  lanes,
  left,
  strips,
  y,
}: Places & { readonly story: Story; readonly y: number }): JSX.Element {
  return (
    <g>
      {lanes.map(({ name, kind, vm }, i) => (
        <g>
          {kind === 'pCPU' ? null : (
            <text class="dim mid" x={left + i * LANE + LANE / 2} y={y - 15}>
              {`VM${vm}`}
            </text>
          )}
          <text class="b mid" x={left + i * LANE + LANE / 2} y={y}>
            {name}
          </text>
        </g>
      ))}
      {story.steps[0].state.pcpus.map(({ pcpu }) => (
        <text class="b" x={strips + pcpu * STRIP} y={y}>
          {`LBR of p${pcpu}`}
        </text>
      ))}
      <line class="rule" x1={MARGIN} x2={WIDTH - MARGIN} y1={y + 8} y2={y + 8} />
    </g>
  );
}

function RowDrawing({
  row: { step, y, height, lines, marks },
  lanes,
  left,
  strips,
  textLeft,
}: Places & { readonly row: Row; readonly textLeft: number }): JSX.Element {
  const base = y + 15;
  const under = textLeft === left ? LINE : 0;
  const { pcpus, vcpus } = step.state;
  return (
    <g>
      {marks.length === 0 ? null : (
        <rect
          class="mk"
          x={textLeft - 8}
          y={y}
          width={WIDTH - MARGIN - textLeft + 8}
          height={height}
        />
      )}
      <text class="dim" x={MARGIN} y={base}>
        {String(step.number).padStart(3)}
      </text>
      {lanes.map(({ cells }, i) => (
        <CellDrawing cell={cells[step.number]} x={left + i * LANE} y={y} height={height - under} />
      ))}
      {pcpus.map(({ pcpu, vcpu, stack }) => {
        const here = vcpu === null ? null : vcpus[vcpu];
        const wrong = here?.holder === 'registers' ? here.wrong : [];
        return (
          <StripDrawing records={stack.records} wrong={wrong} x={strips + pcpu * STRIP} y={y} />
        );
      })}
      {lines.map((line, i) => (
        <text x={textLeft} y={base + under + i * LINE}>
          {line}
        </text>
      ))}
      {marks.map((mark, i) => (
        <text class="bad" x={textLeft} y={base + under + (lines.length + i) * LINE}>
          {mark}
        </text>
      ))}
    </g>
  );
}

/** What is an owner's: its colour, its stripe, and a label. */
function Owned({
  vm,
  x,
  y,
  width,
  height,
}: {
  readonly vm: number;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}): JSX.Element {
  const [dash, gap] = DASHES[Math.max(0, vm)];
  return (
    <g class={ownerClass(vm)}>
      <rect class="guest" x={x} y={y} width={width} height={height} />
      <line
        x1={x + 2.5}
        x2={x + 2.5}
        y1={y}
        y2={y + height}
        stroke-width="5"
        stroke-dasharray={gap === 0 ? undefined : `${dash} ${gap}`}
      />
    </g>
  );
}

function CellDrawing({
  cell: { label, vm, mode },
  x,
  y,
  height,
}: {
  readonly cell: Cell;
  readonly x: number;
  readonly y: number;
  readonly height: number;
}): JSX.Element {
  const middle = x + LANE / 2;
  if (mode === 'off') return <line class="rule" x1={middle} x2={middle} y1={y} y2={y + height} />;
  const width = LANE - 4;
  return (
    <g>
      {mode === 'guest' ? (
        <Owned vm={vm} x={x + 2} y={y} width={width} height={height} />
      ) : (
        <g class={ownerClass(vm)}>
          <rect class="host" x={x + 2} y={y + 1} width={width} height={height - 2} />
        </g>
      )}
      <text class="mid" x={middle + 2} y={y + 15}>
        {label}
      </text>
    </g>
  );
}

function StripDrawing({
  records,
  wrong,
  x,
  y,
}: {
  readonly records: readonly StoryRecord[];
  readonly wrong: readonly number[];
  readonly x: number;
  readonly y: number;
}): JSX.Element {
  const lost = wrong.filter((slot) => !records.some((record) => record.slot === slot)).length;
  const shown = records.slice(0, BLOCKS);
  const more = records.length > BLOCKS ? `+${records.length - BLOCKS}` : '';
  const notes = [more, lost > 0 ? `-${lost}` : ''].filter((note) => note !== '').join(' ');
  return (
    <g>
      {shown.map(({ vm, slot }, i) => {
        const at = x + i * BLOCK;
        const width = BLOCK - 3;
        return (
          <g>
            <Owned vm={vm} x={at} y={y + 2} width={width} height={16} />
            {wrong.includes(slot) ? (
              <rect class="wrong" x={at} y={y + 2} width={width} height={16} />
            ) : null}
            <text class="mid" x={at + width / 2 + 2} y={y + 15}>
              {ownerLetter(vm)}
            </text>
          </g>
        );
      })}
      <text class={lost > 0 ? 'bad' : undefined} x={x + shown.length * BLOCK} y={y + 15}>
        {notes}
      </text>
    </g>
  );
}
