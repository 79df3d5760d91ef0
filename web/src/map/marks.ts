import type { State } from '../live.ts';

/** Pictures of the states, by shape and colour: a colour alone says nothing to many. */
const SIZE = 44;
const MIDDLE = SIZE / 2;
export const PIXEL_RATIO = 2;

const COLOURS: Readonly<Record<State, readonly [light: string, dark: string]>> = {
  alarm: ['#b3261e', '#ff8a80'],
  moving: ['#0b7a5c', '#4cc9a1'],
  standing: ['#0b5cad', '#7cb7ff'],
  silent: ['#8a5a00', '#f0b429'],
  over_cap: ['#8a5a00', '#f0b429'],
  offline: ['#55606b', '#a3adb7'],
};

type Draw = (path: Path2D) => void;
const SHAPES: Readonly<Record<State, Draw>> = {
  moving: (path) => polygon(path, [0, -17], [12, 14], [0, 7], [-12, 14]),
  standing: (path) => path.arc(MIDDLE, MIDDLE, 10, 0, 2 * Math.PI),
  silent: (path) => path.rect(MIDDLE - 10, MIDDLE - 10, 20, 20),
  offline: (path) => path.rect(MIDDLE - 9, MIDDLE - 9, 18, 18),
  over_cap: (path) => polygon(path, [0, -14], [14, 0], [0, 14], [-14, 0]),
  alarm: (path) => polygon(path, [0, -14], [13, 9], [-13, 9]),
};

function polygon(path: Path2D, ...points: readonly (readonly [number, number])[]): void {
  points.forEach(([x, y], index) => {
    if (index === 0) path.moveTo(MIDDLE + x, MIDDLE + y);
    else path.lineTo(MIDDLE + x, MIDDLE + y);
  });
  path.closePath();
}

export function markOf(state: State, isDark: boolean): ImageData | undefined {
  const canvas = document.createElement('canvas');
  canvas.width = SIZE;
  canvas.height = SIZE;
  const context = canvas.getContext('2d');
  if (context === null) return undefined;
  const path = new Path2D();
  SHAPES[state](path);
  const colour = COLOURS[state][isDark ? 1 : 0];
  const ground = isDark ? '#10181f' : '#ffffff';
  context.lineJoin = 'round';
  context.strokeStyle = ground;
  context.lineWidth = 5;
  context.stroke(path);
  if (state === 'offline') {
    context.fillStyle = ground;
    context.fill(path);
    context.strokeStyle = colour;
    context.lineWidth = 3;
    context.stroke(path);
  } else {
    context.fillStyle = colour;
    context.fill(path);
  }
  if (state === 'alarm') {
    context.beginPath();
    context.arc(MIDDLE, MIDDLE, 19, 0, 2 * Math.PI);
    context.strokeStyle = colour;
    context.lineWidth = 3;
    context.stroke();
  }
  return context.getImageData(0, 0, SIZE, SIZE);
}
