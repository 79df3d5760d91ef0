import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { call, Refusal } from '../api.ts';
import { Confirm } from '../parts/confirm.tsx';
import { Empty, Loaded, Refused, useAction, useData } from '../parts/data.tsx';
import { Plain, Table } from '../parts/table.tsx';
import { Ago } from '../parts/time.tsx';
import { filterBy, go, place, to } from '../route.ts';
import { may } from '../session.ts';
import type { Command } from '../shapes.ts';

const REFRESH_MS = 2000;
const STATES = ['queued', 'sent', 'answered', 'failed', 'expired', 'cancelled', 'unknown'];

/** What was asked of devices, over all of them: those under way, or those that ended in a state. */
export function Commands(): JSX.Element {
  const { query } = place.value;
  const device = query.get('device') ?? '';
  const state = query.get('state') ?? '';
  const type = query.get('type') ?? '';
  const filters = new URLSearchParams({ limit: '200' });
  for (const [name, value] of Object.entries({ device, state, type })) if (value !== '') filters.set(name, value);
  const list = useData<{ readonly commands: readonly Command[]; readonly next?: string }>(`/v1/commands?${filters}`, REFRESH_MS);
  return (
    <>
      <h1>Commands</h1>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          const id = String(new FormData(event.currentTarget).get('send') ?? '').trim();
          if (id !== '') go(to('device', id, 'commands'));
        }}
      >
        <label>
          Send one to the device
          <input name="send" autocomplete="off" />
        </label>
        <button type="submit">Open</button>
        <label>
          Show those of the device
          <input type="search" value={device} onChange={(event) => filterBy('device', event.currentTarget.value.trim())} />
        </label>
        <label>
          State
          <select value={state} onChange={(event) => filterBy('state', event.currentTarget.value)}>
            <option value="">any</option>
            {STATES.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        </label>
        <label>
          Type
          <input type="search" value={type} onChange={(event) => filterBy('type', event.currentTarget.value.trim())} />
        </label>
      </form>
      <Loaded data={list}>
        {({ commands, next }) =>
          commands.length === 0 ? (
            <Empty>No command. Here stand those of all devices, with what has become of them.</Empty>
          ) : (
            <>
              <CommandTable commands={commands} done={list.reload} showsDevice />
              {next !== undefined && <p class="note">There are more: name a device, a state or a type.</p>}
            </>
          )
        }
      </Loaded>
    </>
  );
}

interface Parameter {
  readonly type: 'number' | 'string' | 'boolean';
  readonly about?: string;
  readonly fallback?: string | number | boolean;
  readonly min?: number;
  readonly max?: number;
  readonly oneOf?: readonly string[];
}

interface Kind {
  readonly type: string;
  readonly about?: string;
  readonly families?: string;
  readonly parameters?: Readonly<Record<string, Parameter>>;
}

/** Those of one device: a form from its catalogue, and what has become of each. */
export function DeviceCommands({ device }: { readonly device: string }): JSX.Element {
  const id = encodeURIComponent(device);
  const list = useData<{ readonly open: readonly Command[]; readonly ended: readonly Command[] }>(`/v1/devices/${id}/commands`, REFRESH_MS);
  const catalog = useData<{ readonly codecs: readonly { readonly protocol: string; readonly commands: readonly Kind[] }[] }>(
    may('commands') ? `/v1/commands/catalog?device=${id}` : '',
  );
  return (
    <>
      {may('commands') && (
        <Loaded data={catalog}>
          {({ codecs }) => <Send device={device} kinds={codecs.flatMap(({ commands }) => commands)} done={list.reload} />}
        </Loaded>
      )}
      <Loaded data={list}>
        {({ open, ended }) => {
          const all = [...open, ...ended].sort((a, b) => (b.created ?? 0) - (a.created ?? 0));
          return all.length === 0 ? <Empty>No command was sent to this device.</Empty> : <CommandTable commands={all} done={list.reload} />;
        }}
      </Loaded>
    </>
  );
}

function Send({
  device,
  kinds,
  done,
}: {
  readonly device: string;
  readonly kinds: readonly Kind[];
  readonly done: () => void;
}): JSX.Element {
  const [type, setType] = useState(kinds[0]?.type ?? '');
  const [key, setKey] = useState<{ readonly key: string; readonly body: object } | undefined>(undefined);
  const action = useAction();
  const kind = kinds.find((one) => one.type === type);
  const parameters = Object.entries(kind?.parameters ?? {});

  async function send(body: object): Promise<void> {
    await action.run(async () => {
      try {
        await call('POST', `/v1/devices/${encodeURIComponent(device)}/commands`, body);
        setKey(undefined);
      } catch (error) {
        // A grave one is asked for twice.
        if (!(error instanceof Refusal) || error.status !== 428) throw error;
        setKey({ key: String(error.body.confirm), body });
      }
    });
    done();
  }

  function submit(event: SubmitEvent): void {
    event.preventDefault();
    if (!(event.currentTarget instanceof HTMLFormElement)) return;
    const given = new FormData(event.currentTarget);
    const values = parameters.flatMap(([name, rule]): [string, string | number | boolean][] => {
      const text = String(given.get(`p-${name}`) ?? '');
      if (rule.type === 'boolean') return [[name, text === 'true']];
      return text === '' ? [] : [[name, rule.type === 'number' ? Number(text) : text]];
    });
    const reason = String(given.get('reason') ?? '').trim();
    void send({ type, parameters: Object.fromEntries(values), ...(reason === '' ? {} : { reason }) });
  }

  if (kinds.length === 0) return <p class="quiet">Its protocol has no commands.</p>;
  return (
    <form class="empty" onSubmit={submit} aria-label="Send a command">
      <div class="row">
        <label>
          Command
          <select value={type} onChange={(event) => setType(event.currentTarget.value)}>
            {kinds.map((one) => (
              <option key={one.type} value={one.type}>
                {one.type}
              </option>
            ))}
          </select>
        </label>
        {parameters.map(([name, rule]) => (
          <Field key={`${type} ${name}`} name={name} rule={rule} />
        ))}
        <label>
          Reason
          <input name="reason" maxLength={200} />
        </label>
        <button type="submit" class="main" disabled={action.isBusy}>
          Send
        </button>
      </div>
      <p class="quiet">
        {kind?.about}
        {kind?.families !== undefined && ` (${kind.families})`}
      </p>
      {action.refusal !== undefined && <Refused refusal={action.refusal} />}
      {key !== undefined && (
        <Confirm
          title={`Send ${type} to ${device}?`}
          action={`Send ${type}`}
          word={device}
          done={(isSure) => {
            setKey(undefined);
            if (isSure) void send({ ...key.body, confirm: key.key });
          }}
        >
          <p>It can keep the vehicle from driving.</p>
        </Confirm>
      )}
    </form>
  );
}

function Field({ name, rule }: { readonly name: string; readonly rule: Parameter }): JSX.Element {
  const { type, about = '', fallback, min, max, oneOf = [] } = rule;
  const id = `p-${name}`;
  const limits = type === 'number' ? ({ type: 'number', min, max, step: 'any' } as const) : {};
  return (
    <label title={about} for={id}>
      {name.replaceAll('_', ' ')}
      {type === 'boolean' ? (
        <select id={id} name={id}>
          <option value="true" selected={fallback === true}>
            on
          </option>
          <option value="false" selected={fallback !== true}>
            off
          </option>
        </select>
      ) : oneOf.length > 0 ? (
        <select id={id} name={id}>
          {oneOf.map((one) => (
            <option key={one} value={one} selected={one === fallback}>
              {one}
            </option>
          ))}
        </select>
      ) : (
        <input
          id={id}
          name={id}
          {...limits}
          required={fallback === undefined}
          defaultValue={fallback === undefined ? '' : String(fallback)}
        />
      )}
    </label>
  );
}

function CommandTable({
  commands,
  done,
  showsDevice = false,
}: {
  readonly commands: readonly Command[];
  readonly done: () => void;
  readonly showsDevice?: boolean;
}): JSX.Element {
  const action = useAction();
  const cancel = (command: Command): void => {
    void action
      .run(() => call('DELETE', `/v1/devices/${encodeURIComponent(command.device)}/commands/${encodeURIComponent(command.id)}`))
      .then(done);
  };
  return (
    <>
      {action.refusal !== undefined && <Refused refusal={action.refusal} />}
      <Table
        label="Commands"
        rows={commands}
        id={({ id }) => id}
        columns={[
          ...(showsDevice
            ? [{ name: 'device', show: ({ device }: Command) => <a href={to('device', device, 'commands')}>{device}</a> }]
            : []),
          { name: 'command', show: ({ type }) => type },
          { name: 'state', show: ({ state }) => <span class={STATES.includes(state) ? state : ''}>{state}</span> },
          { name: 'asked', show: ({ created }) => <Ago time={created} /> },
          { name: 'by', show: ({ requester }) => requester ?? '–' },
          { name: 'parameters', show: ({ parameters }) => <Plain value={parameters} /> },
          { name: 'tries', isNumber: true, show: ({ attempts }) => String(attempts) },
          {
            name: 'reply',
            show: ({ reply, withheld }) => (withheld === true ? <span class="quiet">withheld</span> : <span>{reply}</span>),
          },
          {
            name: 'change',
            show: (command) =>
              command.state === 'queued' && may('commands') ? (
                <button type="button" disabled={action.isBusy} onClick={() => cancel(command)}>
                  Cancel
                </button>
              ) : (
                ''
              ),
          },
        ]}
      />
    </>
  );
}
