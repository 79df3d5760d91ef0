import type { JSX, TargetedMouseEvent } from 'preact';
import { number } from '../format.ts';

const WIDTH = 600;
const HEIGHT = 90;

/** One line over time, and what it says in words. Gaps (null) are gaps. */
export function Chart(props: {
  readonly name: string;
  readonly unit: string;
  readonly values: readonly (number | null)[];
  /** What the first and the last value are of. */
  readonly from: string;
  readonly to: string;
  /** Index of a value that is marked. */
  readonly at?: number | undefined;
  readonly onPick?: (index: number) => void;
}): JSX.Element {
  const { name, unit, values, from, to, at, onPick } = props;
  const known = values.filter((value) => value !== null);
  const most = Math.max(1, ...known);
  const x = (index: number): number => (values.length < 2 ? 0 : (index / (values.length - 1)) * WIDTH);
  const y = (value: number): number => HEIGHT - 2 - (value / most) * (HEIGHT - 6);
  let path = '';
  values.forEach((value, index) => {
    if (value === null) return;
    const before = values[index - 1];
    path += `${before === null || before === undefined ? 'M' : 'L'}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
  });
  const last = known.at(-1);
  const pick = (event: TargetedMouseEvent<SVGSVGElement>): void => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    onPick?.(Math.max(0, Math.min(values.length - 1, Math.round(((event.clientX - left) / width) * (values.length - 1)))));
  };
  return (
    <figure class="chart">
      <figcaption>
        {name} <b>{number(last, last !== undefined && last < 10 ? 1 : 0)}</b> {unit}
        <span class="quiet"> most {number(most)}</span>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${name}: now ${number(last)} ${unit}, at most ${number(most)} ${unit}`}
        onMouseMove={pick}
      >
        <path d={path} vector-effect="non-scaling-stroke" />
        {at !== undefined && <line x1={x(at)} x2={x(at)} y1={0} y2={HEIGHT} vector-effect="non-scaling-stroke" />}
      </svg>
      <div class="ends">
        <span>{from}</span>
        <span>{to}</span>
      </div>
    </figure>
  );
}
