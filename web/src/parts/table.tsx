import type { ComponentChildren, JSX } from 'preact';

export interface Column<T> {
  readonly name: string;
  readonly show: (row: T) => ComponentChildren;
  /** Numbers stand right. */
  readonly isNumber?: boolean;
}

/** A table of as many rows as a page has. The first column names the row. */
export function Table<T>(props: {
  readonly label: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly id: (row: T) => string;
}): JSX.Element {
  const { label, columns, rows, id } = props;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
    <section class="scroll" tabIndex={0} aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map(({ name, isNumber }) => (
              <th key={name} scope="col" class={isNumber === true ? 'number' : ''}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={id(row)}>
              {columns.map(({ name, show, isNumber }, index) =>
                index === 0 ? (
                  <th key={name} scope="row">
                    {show(row)}
                  </th>
                ) : (
                  <td key={name} class={isNumber === true ? 'number' : ''}>
                    {show(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Names and values. */
export function Facts({ facts }: { readonly facts: readonly (readonly [string, ComponentChildren])[] }): JSX.Element {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Of any value that has come as JSON. */
export function Plain({ value }: { readonly value: unknown }): JSX.Element {
  if (value === null || value === undefined) return <span>–</span>;
  if (typeof value === 'object') return <code class="plain">{JSON.stringify(value)}</code>;
  return <span>{String(value)}</span>;
}
