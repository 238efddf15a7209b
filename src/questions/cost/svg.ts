/** A chart of the costs: for each recording and profile, a bar for each policy. */
import { parse, type Spec, View } from 'vega';
import { countOf, cyclesOfCounts } from './ledger.js';
import { totalsOf } from './summary.js';
import type { Costs } from './text.js';

const BAR_HEIGHT = 16;
const WIDTH = 560;
const INK = '#222';
/** Of policies whose guests read what is right, and wrong. */
const COLOURS = ['#2a6f97', '#c1666b'];
const LEGEND = ['all reads right', 'a guest has read something wrong'];

/** An SVG document. */
export async function costSvg(report: Costs): Promise<string> {
  const view = new View(parse(specOf(report)), { renderer: 'none' });
  const svg = await view.toSVG();
  view.finalize();
  return svg;
}

interface Bar {
  readonly panel: string;
  readonly policy: string;
  readonly cycles: number;
  readonly kind: string;
}

function barsOf({ recordings, profiles, results, costs }: Costs): Bar[] {
  return recordings.flatMap(({ file }, host) =>
    profiles.flatMap(({ name }, p) =>
      totalsOf(results, host, p).map(({ policy, counts, ran }) => ({
        panel: `${file}, ${name}`,
        policy,
        cycles: ran === 0 ? 0 : Math.round(cyclesOfCounts(counts, costs) / (ran / 1e9)),
        kind: LEGEND[Number(countOf(counts, 'wrong') > 0)],
      })),
    ),
  );
}

function specOf(report: Costs): Spec {
  const bars = barsOf(report);
  const panels = [...new Set(bars.map(({ panel }) => panel))];
  const height = BAR_HEIGHT * new Set(bars.map(({ policy }) => policy)).size;
  return {
    background: 'white',
    padding: 10,
    data: panels.map((panel, i) => ({
      name: `panel${i}`,
      values: bars.filter((bar) => bar.panel === panel),
    })),
    scales: [{ name: 'colour', type: 'ordinal', domain: LEGEND, range: COLOURS }],
    legends: [
      {
        fill: 'colour',
        orient: 'bottom',
        direction: 'horizontal',
        labelColor: INK,
        labelLimit: 300,
      },
    ],
    layout: { columns: 1, padding: 30 },
    marks: panels.map((panel, i) => panelOf(panel, `panel${i}`, height)),
  };
}

function panelOf(panel: string, data: string, height: number): NonNullable<Spec['marks']>[number] {
  return {
    type: 'group',
    encode: { update: { width: { value: WIDTH }, height: { value: height } } },
    title: { text: panel, anchor: 'start', color: INK, limit: WIDTH },
    scales: [
      {
        name: 'policy',
        type: 'band',
        domain: { data, field: 'policy' },
        range: [0, height],
        padding: 0.2,
      },
      {
        name: 'cycles',
        type: 'linear',
        domain: { data, field: 'cycles' },
        range: [0, WIDTH],
        nice: true,
        zero: true,
      },
    ],
    axes: [
      { orient: 'left', scale: 'policy', domain: false, ticks: false, labelColor: INK },
      {
        orient: 'bottom',
        scale: 'cycles',
        format: '~s',
        tickCount: 6,
        title: 'cycles of the host for each second that vCPUs run',
        labelColor: INK,
        titleColor: INK,
      },
    ],
    marks: [
      {
        type: 'rect',
        from: { data },
        encode: {
          update: {
            y: { scale: 'policy', field: 'policy' },
            height: { scale: 'policy', band: 1 },
            x: { scale: 'cycles', value: 0 },
            x2: { scale: 'cycles', field: 'cycles' },
            fill: { scale: 'colour', field: 'kind' },
          },
        },
      },
    ],
  };
}
