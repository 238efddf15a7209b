/** A story as an article of a page: what it shows, its timeline, and all of its steps. */
import type { JSX } from 'preact';
import type { Breaker, ReplayCase } from '../../campaign/replay_file.js';
import { plural } from '../../console/text.js';
import { becauseText } from '../because.js';
import { StepSection } from './step_section.js';
import { type Story, storyOf } from './story.js';
import { TimelineList } from './timeline_list.js';

/** What a page shows of a story besides. */
export interface Told {
  readonly story: Story;
  /** `merged breaks no-leak/vm`. */
  readonly title: string;
  /** What the guest runs, in words: `Linux 6.1 guest`. */
  readonly guest: string;
  /** What else is said at the head of the article, in lines. */
  readonly says: readonly string[];
  /** Options that `vlbr replay` needs besides the token. */
  readonly replayWords: readonly string[];
}

/**
 * Runs a case again, to be shown.
 *
 * @param words - `says` is asked once it is known who breaks the property.
 */
export function toldOf(
  replay: ReplayCase,
  words: Pick<Told, 'guest' | 'replayWords'> & {
    readonly says: (breaker: Breaker) => readonly string[];
  },
): Told {
  const story = storyOf(replay);
  return { ...words, story, title: titleOf(story), says: words.says(story.breaker) };
}

function titleOf({ policy, property, breaker }: Story): string {
  if (breaker === 'nobody') return `${property} holds under ${policy}`;
  return breaker === 'policy'
    ? `${policy} breaks ${property}`
    : `the guest's kernel breaks ${property} by itself`;
}

/** @param id - of the article; empty if it is the only one. */
export function StoryArticle({
  told,
  id,
}: {
  readonly told: Told;
  readonly id: string;
}): JSX.Element {
  const { story, title, guest, says, replayWords } = told;
  const { cpu, shape, token, steps, text, because } = story;
  const idOf = (step: number): string => (id === '' ? `step-${step}` : `${id}-step-${step}`);
  const machine = [
    cpu,
    guest,
    plural(shape.vms, 'VM'),
    `${plural(shape.vcpus, 'vCPU')} and ${plural(shape.tasks, 'task')} each`,
    plural(shape.pcpus, 'pCPU'),
    plural(steps.length - 1, 'step'),
  ];
  return (
    <article id={id === '' ? undefined : id}>
      <h2>{title}</h2>
      {text === '' ? null : <p class="bad">{text}</p>}
      {because === null ? null : <p>because: {becauseText(because)}</p>}
      {says.map((line) => (
        <p>{line}</p>
      ))}
      <p class="dim">{machine.join(' · ')}</p>
      <TimelineList story={story} idOf={idOf} />
      <div class="sts">
        {steps.map((step) => (
          <StepSection story={story} step={step} id={idOf(step.number)} />
        ))}
      </div>
      <p class="tk">
        <code>{['vlbr replay', token, ...replayWords].join(' ')}</code>
      </p>
    </article>
  );
}
