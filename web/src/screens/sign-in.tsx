import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Refused, useAction } from '../parts/data.tsx';
import { isSigningIn, reason, signIn } from '../session.ts';

/** What every screen is without a session. */
export function SignIn(): JSX.Element {
  const [text, set] = useState('');
  const action = useAction();
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    // The whole link may have been pasted.
    const given = text.trim().replace(/^.*#code=/, '');
    await action.run(() => signIn(given.startsWith('fg_') ? { token: given } : { code: given }));
  };
  if (isSigningIn.value && text === '') return <p class="sign-in quiet">Signing in…</p>;
  return (
    <main class="sign-in">
      <h1>Fixgate</h1>
      {reason.value !== '' && (
        <p class="refused" role="alert">
          {reason.value}
        </p>
      )}
      <p>Open the link that the server printed, or paste a code or a token.</p>
      <form onSubmit={(event) => void submit(event)}>
        <label>
          Code or token
          <input value={text} onInput={(event) => set(event.currentTarget.value)} autocomplete="off" spellcheck={false} required />
        </label>
        <button class="main" type="submit" disabled={action.isBusy}>
          Sign in
        </button>
      </form>
      {action.refusal !== undefined && <Refused refusal={action.refusal} />}
      <p>
        A new link: <code>npx fixgate console</code>
      </p>
      <p class="quiet">
        In a container: <code>docker exec &lt;name&gt; node bin/fixgate.js console</code>
      </p>
    </main>
  );
}
