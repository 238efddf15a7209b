/** The timeline of a story: a row for each step, with lanes of pCPUs, vCPUs and tasks. */
import type { JSX } from 'preact';
import { type Cell, type Lane, lanesOf } from './lanes.js';
import { ownerClass, ownerLetter } from './owners.js';
import type { PcpuState } from './state.js';
import type { StoryRecord } from './stacks.js';
import { marksOf, type Story, type StoryStep } from './story.js';

/** Lanes beyond which a narrow screen has the sentence below them. */
const FEW_LANES = 7;

/** @param idOf - the id of a step's section. */
export function TimelineList({
  story,
  idOf,
}: {
  readonly story: Story;
  readonly idOf: (step: number) => string;
}): JSX.Element {
  const lanes = lanesOf(story);
  return (
    <div class={lanes.length > FEW_LANES ? 'tl many' : 'tl'}>
      <div class="r hd" aria-hidden="true">
        <span class="n" />
        <span class="la">
          {lanes.map((lane) => (
            <LaneHead lane={lane} />
          ))}
        </span>
        <span class="sk">
          <small>LBR, newest first</small>
          {story.steps[0].state.pcpus.map(({ pcpu }) => `p${pcpu}`).join(' | ')}
        </span>
      </div>
      <ol>
        {story.steps.map((step) => {
          const { number, who, sentence, state } = step;
          const marks = marksOf(story, number);
          return (
            <li>
              <a class={marks.length > 0 ? 'r mk' : 'r'} href={`#${idOf(number)}`}>
                <span class="n">{number}</span>
                <span class="la" aria-hidden="true">
                  {lanes.map(({ kind, cells }) => (
                    <LaneCell kind={kind} cell={cells[number]} />
                  ))}
                </span>
                <span class="sk" aria-hidden="true">
                  {state.pcpus.map((pcpu) => (
                    <StackStrip step={step} pcpu={pcpu} />
                  ))}
                </span>
                <span class="sa">
                  {who === '' ? '' : <b>{who.split(' ')[0]}</b>} {sentence}
                  {marks.map((mark) => (
                    <em>{mark}</em>
                  ))}
                </span>
              </a>
            </li>
          );
        })}
      </ol>
    </div>
  );
}

function LaneHead({ lane: { kind, name, vm } }: { readonly lane: Lane }): JSX.Element {
  const of = kind === 'task' ? `VM ${vm}` : kind;
  return (
    <span class={kind === 'task' ? 'l t' : 'l'}>
      <small>{of}</small>
      {name}
    </span>
  );
}

const MODES = { guest: 'g', host: 'h', off: 'f' } as const;

function LaneCell({
  kind,
  cell: { label, vm, mode },
}: {
  readonly kind: Lane['kind'];
  readonly cell: Cell;
}): JSX.Element {
  const lane = kind === 'task' ? 'l t' : 'l';
  return <span class={`${lane} ${MODES[mode]} ${ownerClass(vm)}`}>{label}</span>;
}

/** Records that a strip shows. */
const STRIP = 4;

/** The newest records of a pCPU as blocks: each with the number of its VM, or h for the host. */
function StackStrip({
  step: { state },
  pcpu: { vcpu, stack },
}: {
  readonly step: StoryStep;
  readonly pcpu: PcpuState;
}): JSX.Element {
  const { records } = stack;
  const here = vcpu === null ? null : state.vcpus[vcpu];
  const wrong = here !== null && here.holder === 'registers' ? here.wrong : [];
  const lost = wrong.filter((slot) => !records.some((record) => record.slot === slot)).length;
  const block = ({ vm, slot }: StoryRecord): JSX.Element => (
    <i class={`${ownerClass(vm)}${wrong.includes(slot) ? ' x' : ''}`}>{ownerLetter(vm)}</i>
  );
  return (
    <span class="sp">
      {records.slice(0, STRIP).map(block)}
      {records.length > STRIP ? `+${records.length - STRIP}` : ''}
      {lost > 0 ? <i class="lost">{`−${lost}`}</i> : null}
    </span>
  );
}
