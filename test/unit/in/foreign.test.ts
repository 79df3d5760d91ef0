import { expect, it } from 'vitest';
import { foreignProtocol } from '../../../src/in/listen/recognise.ts';

it.each([
  ['http', 'GET / HTTP/1.1\r\n'],
  ['http', 'POST /a HTTP/1.1\r\n'],
  ['http', 'PUT /a HTTP/1.1\r\n'],
  ['http', 'HEAD / HTTP/1.1\r\n'],
  ['http', 'OPTIONS * HTTP/1.1\r\n'],
  ['http', 'CONNECT a:443 HTTP/1.1\r\n'],
  ['http', 'PRI * HTTP/2.0\r\n'],
  ['tls', '\x16\x03\x01\x02\x00'],
  ['ssh', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ['proxy', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n'],
  ['rdp', '\x03\x00\x00\x13\x0e'],
  ['redis', '*1\r\n$4\r\nPING\r\n'],
  ['sip', 'REGISTER sip:a SIP/2.0\r\n'],
  ['sip', 'INVITE sip:a SIP/2.0\r\n'],
  ['', 'GE'],
  ['', '*1\r'],
  ['', '*HQ,1234567890,V1#'],
])('what no tracker speaks is named by its first bytes: %s %j', (name, text) => {
  const bytes = Buffer.from(text, 'latin1');
  expect(foreignProtocol(bytes, bytes.length)).toBe(name);
});
