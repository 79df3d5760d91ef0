import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { call } from '../api.ts';
import { Confirm } from '../parts/confirm.tsx';
import { Loaded, Refused, useAction, useData } from '../parts/data.tsx';
import { Facts, Table } from '../parts/table.tsx';
import { Ago, At } from '../parts/time.tsx';
import { isLimited, mayAsOperator, session } from '../session.ts';
import type { Status } from '../shapes.ts';

const SCOPES = ['read', 'locations', 'commands', 'engine', 'custom', 'devices', 'plans', 'erase', 'admin'];

const SERVER = ['version', 'instance'] as const;

/** Who may do what, and what this server is. */
export function Settings(): JSX.Element {
  const status = useData<Status>(isLimited() ? '' : '/v1/status');
  const mine = session.value;
  return (
    <>
      <h1>Settings</h1>
      <Facts
        facts={[
          ['signed in as', mine?.name],
          ['scopes', mine?.scopes.join(', ')],
          ...(mine?.accounts === undefined ? [] : ([['sees the devices of', mine.accounts.join(', ')]] as const)),
          ['the session ends', <At key="ends" time={mine?.expires} />],
          ...(mine?.accounts === undefined ? SERVER.map((name) => [name, status.value?.[name] ?? '–'] as const) : []),
        ]}
      />
      <p>
        <a href="/docs">API</a> · <a href="/openapi.json">OpenAPI</a> · <a href="/licences.txt">Licences</a>
      </p>
      {mayAsOperator('admin') && <Tokens />}
    </>
  );
}

interface Token {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly created: number;
}

function Tokens(): JSX.Element {
  const tokens = useData<{ readonly tokens: readonly Token[] }>('/v1/tokens');
  const [made, setMade] = useState('');
  const [revoked, revoke] = useState('');
  const action = useAction();

  async function make(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    if (!(event.currentTarget instanceof HTMLFormElement)) return;
    const given = new FormData(event.currentTarget);
    const answer = await action.run(() =>
      call<{ readonly token: string }>('POST', '/v1/tokens', { name: given.get('name'), scopes: given.getAll('scope') }),
    );
    setMade(answer?.token ?? '');
    tokens.reload();
  }

  return (
    <>
      <h2>Tokens</h2>
      <Loaded data={tokens}>
        {({ tokens: all }) => (
          <Table
            label="Tokens"
            rows={all}
            id={({ name }) => name}
            columns={[
              { name: 'name', show: ({ name }) => name },
              { name: 'scopes', show: ({ scopes }) => scopes.join(', ') },
              { name: 'made', show: ({ created }) => <Ago time={created} /> },
              {
                name: 'change',
                show: ({ name }) => (
                  <button type="button" class="danger" aria-label={`Revoke ${name}`} onClick={() => revoke(name)}>
                    Revoke
                  </button>
                ),
              },
            ]}
          />
        )}
      </Loaded>
      <form class="empty" onSubmit={(event) => void make(event)}>
        <label>
          Name
          <input name="name" required maxLength={64} autocomplete="off" />
        </label>
        <fieldset>
          <legend>Scopes</legend>
          <div class="row">
            {SCOPES.map((scope) => (
              <label key={scope}>
                <input type="checkbox" name="scope" value={scope} /> {scope}
              </label>
            ))}
          </div>
        </fieldset>
        <p>
          <button type="submit" class="main" disabled={action.isBusy}>
            Make a token
          </button>
        </p>
        {made !== '' && (
          <p role="status">
            Copy it now, it is shown once: <code>{made}</code>
          </p>
        )}
      </form>
      {action.refusal !== undefined && <Refused refusal={action.refusal} />}
      {revoked !== '' && (
        <Confirm
          title={`Revoke ${revoked}?`}
          action="Revoke"
          done={(isSure) => {
            revoke('');
            if (isSure) void action.run(() => call('DELETE', `/v1/tokens/${encodeURIComponent(revoked)}`)).then(tokens.reload);
          }}
        >
          <p>Who uses it is refused from then on, and sessions made from it end.</p>
        </Confirm>
      )}
    </>
  );
}
