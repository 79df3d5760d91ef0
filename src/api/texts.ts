import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { jsonOf } from '../base/json.ts';
import type { Log } from '../base/log.ts';
import type { Secret } from '../base/secret.ts';
import { problemsOf, textProblems } from '../fleet/registry/field-problem.ts';
import { phoneNumber } from '../fleet/registry/phone.ts';
import { WrongTokens } from './edge.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';
import { isSigned, isSignedByTwilio } from './text-signature.ts';

const PATH = '/v1/sms/inbound';
const JSON_TYPE = 'application/json';
const FORM = 'application/x-www-form-urlencoded';
const MOST_BYTES = 65_536;
const BODY_MS = 15_000;
/** Wrong signatures a minute of one address. */
const MOST_WRONG = 100;
const EMPTY_TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response/>';

const message = z.strictObject({
  id: z.string().min(1).max(200).describe("the gateway's id of the message: it is taken once"),
  from: phoneNumber.describe('number of the sender'),
  text: z.string().min(1).max(1600),
  to: z.string().max(64).optional(),
});

export interface TextSecrets {
  /** Of the JSON form, and of Twilio's; empty: that form is off. */
  readonly key: Secret;
  readonly twilioToken: Secret;
}

export interface TextRoutesOptions {
  readonly log: Log;
  readonly sms?: TextSecrets | undefined;
  readonly publicUrl: string;
}

interface Given {
  readonly source: string;
  readonly message: unknown;
  /** Names of the fields as the form has them. */
  readonly names: Readonly<Record<string, string>>;
}

/** Text messages from a gateway (docs/sms.md). */
export function textRoutes({ log, sms, publicUrl }: TextRoutesOptions): readonly Route[] {
  const wrong = new WrongTokens(log, MOST_WRONG, 'text message with a wrong signature refused');
  return [
    route({
      method: 'POST',
      path: PATH,
      scope: 'none',
      limits: 'open',
      audits: 'nothing',
      about:
        "A text message of a device, signed by its gateway: Twilio's form, or JSON `{id, from, text}` with the headers `x-fixgate-timestamp` and `x-fixgate-signature`. Answered when it is stored; a message id is taken once.",
      params: NOTHING,
      query: NOTHING,
      body: NO_BODY,
      streams: [JSON_TYPE, FORM],
      answers: {
        200: {
          about: 'the message has arrived, now or before',
          schema: z.object({ id: z.string() }),
          example: { id: 'SM0123456789abcdef0123456789abcdef' },
          media: [JSON_TYPE, 'text/xml'],
        },
        400: { about: 'invalid message' },
        401: { about: 'no valid signature, or it is older than 5 minutes' },
        413: { about: `larger than ${MOST_BYTES} bytes` },
        415: { about: 'neither JSON nor a form' },
        429: { about: 'too many wrong signatures from this address' },
      },
      async run({ office, request, reply }) {
        const waitS = wrong.waitOf(request.ip);
        if (waitS > 0) {
          reply.header('retry-after', waitS);
          return problem(reply, 429, `too many wrong signatures from this address; retry in ${waitS} s`);
        }
        const body = request.body instanceof Readable ? await textOf(request.body) : '';
        if (body === undefined) {
          // The rest is not read: the connection cannot go on.
          reply.header('connection', 'close');
          return problem(reply, 413, `larger than ${MOST_BYTES} bytes, or slower than ${BODY_MS / 1000} s`);
        }
        const given = sms === undefined ? undefined : signed(request, body, sms, publicUrl);
        if (given === undefined) {
          wrong.note(request.ip);
          return problem(reply, 401, 'no valid signature');
        }
        const checked = message.safeParse(given.message);
        const texts = textProblems(given.message);
        if (!checked.success || texts.length > 0) {
          const problems = [...texts, ...(checked.success ? [] : problemsOf(checked.error.issues))];
          const named = problems.map(({ field, problem: what }) => ({ field: given.names[field] ?? field, problem: what }));
          return problem(reply, 400, 'invalid message', named);
        }
        const { id, from, text } = checked.data;
        await office.texts.take({ source: given.source, id, from, text });
        return arrived(given.source, id, reply);
      },
    }),
  ];
}

function arrived(source: string, id: string, reply: FastifyReply): unknown {
  return source === 'twilio' ? reply.type('text/xml').send(EMPTY_TWIML) : { id };
}

/** What has been signed, in either form; undefined when nothing has. */
function signed(request: FastifyRequest, body: string, { key, twilioToken }: TextSecrets, publicUrl: string): Given | undefined {
  const header = (name: string): string => String(request.headers[name] ?? '');
  if (header('content-type').startsWith(FORM)) {
    const form = new URLSearchParams(body);
    const url = `${publicUrl.replace(/\/+$/, '')}${request.url}`;
    if (!isSignedByTwilio(twilioToken, url, form, header('x-twilio-signature'))) return undefined;
    const [id, from, text] = ['MessageSid', 'From', 'Body'].map((name) => form.get(name) ?? undefined);
    return { source: 'twilio', message: { id, from, text }, names: { id: 'MessageSid', from: 'From', text: 'Body' } };
  }
  if (!isSigned(key, header('x-fixgate-timestamp'), body, header('x-fixgate-signature'), systemClock.now())) return undefined;
  return { source: 'json', message: jsonOf(body), names: {} };
}

/** Undefined when it is too long, or too slow. */
async function textOf(body: Readable): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const late = setTimeout(() => body.destroy(new Error('too slow')), BODY_MS);
  try {
    for await (const chunk of body) {
      chunks.push(Buffer.from(chunk));
      bytes += chunks.at(-1)?.length ?? 0;
      if (bytes > MOST_BYTES) return undefined;
    }
  } catch {
    return undefined;
  } finally {
    clearTimeout(late);
  }
  return Buffer.concat(chunks).toString('utf8');
}
