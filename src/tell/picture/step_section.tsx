/** One step as a section of a page: what happens, the stacks after it, the MSR accesses. */
import type { JSX } from 'preact';
import { becauseText } from '../because.js';
import { accessRows, type AccessRow } from './access_rows.js';
import { type Panel, type PanelRow, panelsOf } from './panels.js';
import { RecordChip } from './record_chip.js';
import type { StorySample } from './scribe.js';
import type { StoryRecord } from './stacks.js';
import { marksOf, type Story, type StoryStep } from './story.js';

/** @param id - of the section, for links. */
export function StepSection({
  story,
  step,
  id,
}: {
  readonly story: Story;
  readonly step: StoryStep;
  readonly id: string;
}): JSX.Element {
  const { number, who, sentence, lines, accesses, samples, state, possible } = step;
  const marks = marksOf(story, number);
  return (
    <section class={marks.length > 0 ? 'st mk' : 'st'} id={id}>
      <h3>
        <a class="n" href={`#${id}`}>
          {number}
        </a>
        {who === '' ? '' : <b>{who}</b>} {sentence}
        {marks.map((mark) => (
          <em>{mark}</em>
        ))}
      </h3>
      <ul class="ln">
        {lines.map((line) => (
          <li>{line}</li>
        ))}
        {possible ? null : <li>not possible here, so passed over</li>}
        <EntriesLine step={step} />
        {number === story.partsAt && story.because !== null ? (
          <li class="bad">because: {becauseText(story.because)}</li>
        ) : null}
        {number === story.breaksAt ? <li class="bad">{story.text}</li> : null}
      </ul>
      <div class="ps">
        {panelsOf(state, story.hasSelect).map((panel) => (
          <PanelTable panel={panel} />
        ))}
      </div>
      {samples.map((sample) => (
        <SampleLine sample={sample} />
      ))}
      {accesses.length === 0 ? null : <AccessTable rows={accessRows(accesses)} />}
    </section>
  );
}

function EntriesLine({ step: { entries, exits } }: { readonly step: StoryStep }): JSX.Element {
  const words = exits.flatMap((n, v) => {
    const moves = [
      ...(entries[v] > 0 ? [`VM entries: ${entries[v]}`] : []),
      ...(n > 0 ? [`VM exits: ${n}`] : []),
    ];
    return moves.length === 0 ? [] : [`v${v}, ${moves.join(', ')}`];
  });
  return words.length === 0 ? <></> : <li class="dim">{words.join('; ')}</li>;
}

function PanelTable({ panel }: { readonly panel: Panel }): JSX.Element {
  const [here, reference] = panel.heads;
  return (
    <table class="p">
      <caption>
        <b>{panel.title}</b> {panel.notes.join(' · ')}
      </caption>
      <thead>
        <tr>
          <td />
          <th scope="col">{here}</th>
          {reference === '' ? null : <th scope="col">{reference}</th>}
        </tr>
      </thead>
      <tbody>
        {panel.rows.map((row) => (
          <PanelLine row={row} />
        ))}
      </tbody>
    </table>
  );
}

function PanelLine({ row }: { readonly row: PanelRow }): JSX.Element {
  const { name, here, reference, wrong } = row;
  return (
    <tr class={wrong ? 'bad' : undefined}>
      <th scope="row">{name}</th>
      <td>
        <PanelValue value={here} />
      </td>
      {reference === undefined ? null : (
        <td>
          {wrong ? '≠ ' : ''}
          <PanelValue value={reference} />
        </td>
      )}
    </tr>
  );
}

function PanelValue({ value }: { readonly value: StoryRecord | string | null }): JSX.Element {
  if (value === null) return <>empty</>;
  return typeof value === 'string' ? <>{value}</> : <RecordChip record={value} />;
}

function SampleLine({ sample }: { readonly sample: StorySample }): JSX.Element {
  const { vcpu, pcpu, branches } = sample;
  const whose = vcpu === null ? `Sample of the host on p${pcpu}` : `Sample of v${vcpu}`;
  const full = branches.filter((text) => text !== 'empty');
  const empty = branches.length - full.length;
  const words = empty === 0 ? full : [...full, `${empty} empty`];
  return <p class="sm">{`${whose}: ${words.join(', ') || 'no branch'}`}</p>;
}

function AccessTable({ rows }: { readonly rows: readonly AccessRow[] }): JSX.Element {
  return (
    <table class="a">
      <caption>MSR accesses</caption>
      <tbody>
        {rows.map(({ who, how, what, value, notes, wrong, records }) => (
          <tr class={wrong ? 'bad' : undefined}>
            <th scope="row">{who}</th>
            <td>{how}</td>
            <td>{what}</td>
            <td class="v">
              {value}
              {records.map((record) => (
                <RecordChip record={record} />
              ))}
              {notes.length === 0 ? null : <span class="dim">{` ${notes.join(', ')}`}</span>}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
