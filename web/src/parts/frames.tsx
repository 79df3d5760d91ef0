import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { Plain } from './table.tsx';

/** A part of a frame: which bytes, what they are called, what they say. */
export interface Annotation {
  readonly at: number;
  readonly length: number;
  readonly name: string;
  readonly raw: string;
  readonly value?: unknown;
}

/** Bytes and fields beside each other; the pointer over one marks the other. */
export function Explained({ hex, explain }: { readonly hex: string; readonly explain: readonly Annotation[] }): JSX.Element {
  const [marked, mark] = useState(-1);
  const bytes = useMemo(() => hex.match(/../g) ?? [], [hex]);
  const field = explain[marked];
  const at = (byte: number): number => explain.findIndex((one) => byte >= one.at && byte < one.at + one.length);
  return (
    <div class="two">
      <div class="hex mono" role="img" aria-label={`${bytes.length} bytes: ${hex}`}>
        {bytes.map((byte, index) => (
          // biome-ignore lint/a11y/noStaticElementInteractions: the table beside it says the same
          <span
            key={index}
            class={field !== undefined && index >= field.at && index < field.at + field.length ? 'marked' : ''}
            onMouseEnter={() => mark(at(index))}
          >
            {byte}
          </span>
        ))}
      </div>
      {explain.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">field</th>
              <th scope="col">bytes</th>
              <th scope="col">value</th>
            </tr>
          </thead>
          <tbody>
            {explain.map((one, index) => (
              <tr key={`${one.at} ${one.name}`} class={index === marked ? 'marked' : ''} onMouseEnter={() => mark(index)}>
                <th scope="row">{one.name}</th>
                <td class="mono plain">{one.raw}</td>
                <td class="plain">
                  <Plain value={one.value ?? ''} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}
