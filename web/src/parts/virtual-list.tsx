import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

/** Thousands of rows of one height, of which those in sight are drawn. `j`, `k`, arrows and Enter work when it has the focus. */
export function VirtualList<T>(props: {
  readonly label: string;
  readonly items: readonly T[];
  readonly id: (item: T) => string;
  readonly rowHeight: number;
  readonly selected?: string;
  readonly onSelect: (item: T) => void;
  readonly onOpen?: (item: T) => void;
  readonly children: (item: T) => ComponentChildren;
}): JSX.Element {
  const { label, items, id, rowHeight, selected = '', onSelect, onOpen, children } = props;
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const sized = new ResizeObserver(() => setHeight(element.clientHeight));
    sized.observe(element);
    return () => sized.disconnect();
  }, []);
  const first = Math.max(0, Math.floor(top / rowHeight) - 5);
  const shown = items.slice(first, first + Math.ceil(height / rowHeight) + 10);
  const at = items.findIndex((item) => id(item) === selected);
  const move = (step: number): void => {
    const next = Math.max(0, Math.min(items.length - 1, at + step));
    const item = items[next];
    if (item === undefined) return;
    onSelect(item);
    const element = box.current;
    if (element === null) return;
    if (next * rowHeight < element.scrollTop) element.scrollTop = next * rowHeight;
    else if ((next + 1) * rowHeight > element.scrollTop + element.clientHeight)
      element.scrollTop = (next + 1) * rowHeight - element.clientHeight;
  };
  const pressed = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 10, PageUp: -10 }[event.key];
    const item = items[at];
    if (step !== undefined) move(step);
    else if (event.key === 'Enter' && item !== undefined) (onOpen ?? onSelect)(item);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div
      class="virtual"
      ref={box}
      role="listbox"
      aria-label={label}
      tabIndex={0}
      aria-activedescendant={at < 0 ? undefined : `row-${selected}`}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      onKeyDown={pressed}
    >
      <div role="presentation" style={{ height: `${items.length * rowHeight}px` }}>
        {shown.map((item, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the list has the keys
          <div
            key={id(item)}
            id={`row-${id(item)}`}
            role="option"
            tabIndex={-1}
            aria-selected={id(item) === selected}
            aria-setsize={items.length}
            aria-posinset={first + index + 1}
            class="option"
            style={{ top: `${(first + index) * rowHeight}px`, height: `${rowHeight}px` }}
            onClick={() => onSelect(item)}
            onDblClick={() => onOpen?.(item)}
          >
            {children(item)}
          </div>
        ))}
      </div>
    </div>
  );
}
