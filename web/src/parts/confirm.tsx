import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

/** A question before what cannot be undone. With `word`, it must be typed. */
export function Confirm(props: {
  readonly title: string;
  readonly action: string;
  readonly word?: string;
  readonly children?: ComponentChildren;
  readonly done: (isSure: boolean) => void;
}): JSX.Element {
  const { title, action, word = '', children, done } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const [typed, set] = useState('');
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    // The focus goes back to where it was.
    return () => element?.close();
  }, []);
  return (
    <dialog ref={dialog} aria-label={title} onCancel={() => done(false)}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          done(true);
        }}
      >
        <h2>{title}</h2>
        {children}
        {word !== '' && (
          <label>
            Type <code>{word}</code>
            <input value={typed} onInput={(event) => set(event.currentTarget.value)} autocomplete="off" />
          </label>
        )}
        <p class="row">
          <button type="submit" class="danger" disabled={typed !== word}>
            {action}
          </button>
          <button type="button" onClick={() => done(false)}>
            Cancel
          </button>
        </p>
      </form>
    </dialog>
  );
}
