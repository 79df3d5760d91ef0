import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { call } from '../api.ts';
import { Refused, useAction } from '../parts/data.tsx';
import { type Annotation, Explained } from '../parts/frames.tsx';
import { Plain } from '../parts/table.tsx';
import { place } from '../route.ts';

interface Message {
  readonly offset: number;
  readonly length: number;
  readonly type: string;
  readonly name: string;
  readonly device: string | null;
  readonly records: readonly Readonly<Record<string, unknown>>[];
  readonly answer: string | null;
  readonly reason?: string;
  readonly damaged?: string;
  readonly explain?: readonly Annotation[];
}

interface Decoded {
  readonly protocol: string;
  readonly guessed: boolean;
  readonly messages: readonly Message[];
  /** Bytes that wait for the rest of their frame, and that belong to none. */
  readonly pending: number;
  readonly noise: number;
  /** Why the server would close the connection. */
  readonly closed?: string;
}

/** What bytes mean. Nothing is kept. */
export function Decode(): JSX.Element {
  const { query } = place.value;
  return <DecodeOf key={query.toString()} query={query} />;
}

function DecodeOf({ query }: { readonly query: URLSearchParams }): JSX.Element {
  const [text, setText] = useState((query.get('hex') ?? '').replaceAll(' ', '\n'));
  const [protocol, setProtocol] = useState(query.get('protocol') ?? '');
  const [transport, setTransport] = useState('');
  const [decoded, set] = useState<{ readonly answer: Decoded; readonly hex: string } | undefined>(undefined);
  const action = useAction();

  async function decode(event?: Event): Promise<void> {
    event?.preventDefault();
    // What a hex dump has around its bytes.
    const hex = text
      .split('\n')
      .map((line) => line.replace(/^[0-9a-f]{4,8}[: ] */i, '').replace(/0x|[\s,:]/gi, ''))
      .filter((line) => line !== '');
    const body = { hex, ...(protocol === '' ? {} : { protocol }), ...(transport === '' ? {} : { transport }) };
    const answer = await action.run(() => call<Decoded>('POST', '/v1/decode', body));
    set(answer === undefined ? undefined : { answer, hex: hex.join('') });
  }

  // Once, with what the address brought; later a person asks for it.
  useEffect(() => {
    if (text !== '') void decode();
  }, []);

  return (
    <>
      <h1>Decode</h1>
      <form onSubmit={(event) => void decode(event)}>
        <label>
          Bytes as hex, each chunk or datagram on a line of its own
          <textarea
            value={text}
            spellcheck={false}
            required
            onInput={(event) => setText(event.currentTarget.value)}
            placeholder="000f333536333037303432343431303133"
          />
        </label>
        <div class="row">
          <label>
            Protocol, empty to have it found out
            <input value={protocol} onInput={(event) => setProtocol(event.currentTarget.value.trim())} />
          </label>
          <label>
            Transport
            <select value={transport} onChange={(event) => setTransport(event.currentTarget.value)}>
              <option value="">as it looks</option>
              <option value="tcp">tcp</option>
              <option value="udp">udp</option>
            </select>
          </label>
          <button type="submit" class="main" disabled={action.isBusy}>
            Decode
          </button>
        </div>
      </form>
      {action.refusal !== undefined && <Refused refusal={action.refusal} />}
      {decoded !== undefined && (
        <section aria-label="Messages">
          <p role="status">
            {decoded.answer.messages.length} {decoded.answer.messages.length === 1 ? 'message' : 'messages'} of {decoded.answer.protocol}
            {decoded.answer.guessed ? ', found out from the bytes' : ''}
            {decoded.answer.pending > 0 && `; ${decoded.answer.pending} bytes wait for the rest of their frame`}
            {decoded.answer.noise > 0 && `; ${decoded.answer.noise} bytes belong to no frame`}
            {decoded.answer.closed !== undefined && `; the server would close the connection: ${decoded.answer.closed}`}
          </p>
          {decoded.answer.messages.map((message) => (
            <MessageView key={message.offset} message={message} hex={decoded.hex} />
          ))}
        </section>
      )}
    </>
  );
}

function MessageView({ message, hex }: { readonly message: Message; readonly hex: string }): JSX.Element {
  const { offset, length, type, name, device, records, answer, reason, damaged, explain = [] } = message;
  return (
    <article>
      <h2>
        {type} {name} {device !== null && <span class="mono">{device}</span>} {reason !== undefined && <span class="down">{reason}</span>}
      </h2>
      {damaged !== undefined && <p class="degraded">Accepted in spite of {damaged}.</p>}
      <Explained hex={hex.slice(2 * offset, 2 * (offset + length))} explain={explain} />
      {answer !== null && (
        <p>
          Answer <code>{answer}</code>
        </p>
      )}
      {records.map((record) => (
        <details key={JSON.stringify(record)} open={records.length === 1}>
          <summary>Record</summary>
          <Plain value={record} />
        </details>
      ))}
    </article>
  );
}
