/** The state of a campaign as a page. It has no script of its own, and loads nothing. */
import type { JSX } from 'preact';
import { parse, type Scale, type Spec, View } from 'vega';
import { grouped, plural } from '../../console/text.js';
import type { Sample } from '../../store/directory.js';
import { htmlDocument } from '../../tell/picture/document.js';
import type { ToldFailure } from './report.js';
import type { Status } from './status.js';
import { statusRows, whatOf } from './text.js';

const WIDTH = 320;
const HEIGHT = 160;
/** The colour of the text around it, light or dark. */
const INK = 'currentColor';

/** Points of a chart at the most: more than there are columns can't be seen. */
const POINTS = 500;

/** The text of an HTML file. @param path - directory of the campaign. */
export async function campaignPage(
  path: string,
  status: Status,
  failures: readonly ToldFailure[],
): Promise<string> {
  const chart = status.samples.length < 2 ? null : await chartOf(status.samples);
  return htmlDocument(
    `vlbr campaign ${path}`,
    <>
      <h1>{whatOf(status.asked)}</h1>
      <h2>{path}</h2>
      {statusRows(status).map(([name, text]) => (
        <p>
          {name}: {text}
        </p>
      ))}
      {chart === null ? null : (
        <>
          <h2>Failures over runs</h2>
          <p>What a kernel breaks by itself counts here once for each policy.</p>
          <div
            role="img"
            aria-label={chartText(status)}
            dangerouslySetInnerHTML={{ __html: chart }}
          />
        </>
      )}
      <h2>{plural(failures.length, 'different failure')}</h2>
      <ol class="fs">
        {failures.map((failure, i) => (
          <FailureItem failure={failure} number={i + 1} several={severalIn(status)} />
        ))}
      </ol>
    </>,
  );
}

function severalIn({ asked: { targets, cpus } }: Status): boolean {
  return targets.length * cpus.length > 1;
}

function FailureItem({
  failure: { policy, property, own, cause, count, first, actions, cpu, target },
  number,
  several,
}: {
  readonly failure: ToldFailure;
  readonly number: number;
  readonly several: boolean;
}): JSX.Element {
  const where = several ? ` on ${cpu}, Linux ${target}` : '';
  const [from, to] = first.map(grouped);
  const met = `met ${plural(count, 'time')}, first in runs ${from} to ${to}`;
  return (
    <li>
      <a href={`/failure/${number}`}>
        {own ? 'the kernel' : policy}: {property}
      </a>
      {`${where}, decided by ${cause}; ${met}; ${plural(actions, 'action')}`}
    </li>
  );
}

function chartText({ samples }: Status): string {
  const [first, last] = [samples[0], samples[samples.length - 1]];
  return `from ${first.failures} failures to ${last.failures}`;
}

function scaleOf(name: keyof Sample, range: 'width' | 'height'): Scale {
  return { name, type: 'linear', domain: { data: 'samples', field: name }, range, nice: true };
}

/** Failures by runs, as SVG. */
async function chartOf(samples: readonly Sample[]): Promise<string> {
  const every = Math.ceil(samples.length / POINTS);
  const values = samples
    .filter((_, i) => i % every === 0 || i === samples.length - 1)
    .map(({ runs, failures }) => ({ runs, failures }));
  const axis = { aria: false, labelColor: INK, titleColor: INK, domainColor: INK, tickColor: INK };
  const spec: Spec = {
    width: WIDTH,
    height: HEIGHT,
    padding: 5,
    autosize: 'fit',
    data: [{ name: 'samples', values }],
    scales: [scaleOf('runs', 'width'), scaleOf('failures', 'height')],
    axes: [
      { ...axis, orient: 'bottom', scale: 'runs', format: '~s', tickCount: 4, title: 'runs' },
      { ...axis, orient: 'left', scale: 'failures', format: 'd', tickCount: 4 },
    ],
    marks: [
      {
        type: 'line',
        // The whole drawing has its words.
        aria: false,
        from: { data: 'samples' },
        encode: {
          update: {
            x: { scale: 'runs', field: 'runs' },
            y: { scale: 'failures', field: 'failures' },
            stroke: { value: INK },
            interpolate: { value: 'step-after' },
          },
        },
      },
    ],
  };
  const view = new View(parse(spec), { renderer: 'none' });
  const svg = await view.toSVG();
  view.finalize();
  return svg;
}
