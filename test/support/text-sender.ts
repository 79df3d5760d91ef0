import { createHmac } from 'node:crypto';

/** What a gateway of text messages does: signed requests, in both forms. */

export const SMS_SECRET = 'a secret of sixteen characters';
export const TWILIO_TOKEN = '12345';

export interface Signed {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

export function jsonText(message: object, { at = Date.now(), secret = SMS_SECRET } = {}): Signed {
  const body = JSON.stringify(message);
  const signature = createHmac('sha256', secret).update(`${at}.${body}`).digest('hex');
  return { body, headers: { 'content-type': 'application/json', 'x-fixgate-timestamp': String(at), 'x-fixgate-signature': signature } };
}

/** As Twilio's documentation of webhooks says: the URL, then each name and value in the order of the names. */
export function twilioText(url: string, parameters: Readonly<Record<string, string>>, token = TWILIO_TOKEN): Signed {
  const text = Object.keys(parameters)
    .sort()
    .reduce((sum, name) => sum + name + parameters[name], url);
  return {
    body: new URLSearchParams(parameters).toString(),
    headers: {
      'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
      'x-twilio-signature': createHmac('sha1', token).update(text, 'utf8').digest('base64'),
    },
  };
}
