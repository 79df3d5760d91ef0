import { startShipping } from '../app.ts';
import { unpackConfig } from '../config/pack.ts';
import { embeddedAccess } from '../embedded/socket.ts';
import { Secret, SecretUrl } from '../secret.ts';
import type { ClickHouseAccess } from '../sink/clickhouse/sink.ts';
import { runChild } from './child-process.ts';
import type { PackedAccess } from './messages.ts';

/** Entry of the shipper process. */
runChild(({ config, instance, owner, stateDamage, clickhouse }) =>
  startShipping(unpackConfig(config), instance, owner, unpacked(clickhouse), stateDamage),
);

function unpacked({ url, username, password, database, embedded }: PackedAccess): ClickHouseAccess {
  const secret = new Secret(password);
  if (embedded !== '') return { ...embeddedAccess(embedded, url, secret), database };
  return { url: new SecretUrl(url), username, password: secret, database };
}
