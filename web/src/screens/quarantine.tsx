import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { call } from '../api.ts';
import { number } from '../format.ts';
import { Confirm } from '../parts/confirm.tsx';
import { Empty, Loaded, Refused, useAction, useData } from '../parts/data.tsx';
import { Ago } from '../parts/time.tsx';
import { go, to } from '../route.ts';
import { may } from '../session.ts';

interface Unknown {
  readonly id: string;
  readonly first_seen: number;
  readonly last_seen: number;
  readonly count: number;
  readonly protocol: string;
  readonly transport: string;
  readonly frames?: readonly string[];
  readonly withheld?: boolean;
}

/** Devices that were refused because the registry does not know them. */
export function Quarantine(): JSX.Element {
  const list = useData<{ readonly devices: readonly Unknown[]; readonly next?: string }>('/v1/quarantine?limit=200', 10_000);
  return (
    <>
      <h1>Quarantine</h1>
      <Loaded data={list}>
        {({ devices, next }) =>
          devices.length === 0 ? (
            <Empty>
              No device is waiting. When the registry is closed (<code>registry.mode: closed</code>), unknown devices that were refused
              stand here with what they said.
            </Empty>
          ) : (
            <>
              {devices.map((device) => (
                <Entry key={device.id} device={device} done={list.reload} />
              ))}
              {next !== undefined && <p class="quiet">The first {number(devices.length)} by id.</p>}
            </>
          )
        }
      </Loaded>
    </>
  );
}

function Entry({ device, done }: { readonly device: Unknown; readonly done: () => void }): JSX.Element {
  const { id, first_seen, last_seen, count, protocol, transport, frames = [], withheld } = device;
  const [isDropped, drop] = useState(false);
  const action = useAction();

  async function adopt(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    if (!(event.currentTarget instanceof HTMLFormElement)) return;
    const body = Object.fromEntries([...new FormData(event.currentTarget)].filter(([, value]) => value !== ''));
    const made = await action.run(() => call<unknown>('POST', `/v1/quarantine/${encodeURIComponent(id)}/adopt`, body));
    if (made !== undefined) go(to('device', id));
  }

  return (
    <section class="empty" aria-label={id}>
      <h2 class="mono">{id}</h2>
      <p>
        {protocol} {transport}, refused {number(count)} {count === 1 ? 'time' : 'times'}, first <Ago time={first_seen} />, last{' '}
        <Ago time={last_seen} />
      </p>
      {withheld === true && <p class="quiet">What it said is withheld: it needs the scope locations.</p>}
      {frames.length > 0 && (
        <details>
          <summary>What it said</summary>
          {frames.map((frame) => (
            <pre key={frame}>{frame}</pre>
          ))}
          <a href={`${to('decode')}?protocol=${encodeURIComponent(protocol)}&hex=${frames.join('+')}`}>Decode</a>
        </details>
      )}
      {may('devices') && (
        <form class="row" onSubmit={(event) => void adopt(event)}>
          <label>
            Plan
            <input name="plan" placeholder="default" />
          </label>
          <label>
            Account
            <input name="account" />
          </label>
          <button type="submit" class="main" disabled={action.isBusy}>
            Adopt
          </button>
          <button type="button" disabled={action.isBusy} onClick={() => drop(true)}>
            Drop
          </button>
        </form>
      )}
      {action.refusal !== undefined && <Refused refusal={action.refusal} />}
      {isDropped && (
        <Confirm
          title={`Drop ${id}?`}
          action="Drop"
          done={(isSure) => {
            drop(false);
            if (isSure) void action.run(() => call('DELETE', `/v1/quarantine/${encodeURIComponent(id)}`)).then(done);
          }}
        >
          <p>It is listed again at its next contact.</p>
        </Confirm>
      )}
    </section>
  );
}
