import { Secret, SecretUrl } from '../base/secret.ts';
import { runChild } from '../cluster/child-process.ts';
import type { PackedAccess } from '../cluster/messages.ts';
import { unpackConfig } from '../config/pack.ts';
import { embeddedAccess } from '../embedded/socket.ts';
import type { ClickHouseAccess } from '../out/sink/clickhouse/sink.ts';
import { startShipping } from './shipper.ts';

/** Entry of the shipper process. */
runChild(({ config, instance, owner, orderOffset, stateDamage, clickhouse }) =>
  startShipping({ config: unpackConfig(config), instance, owner, orderOffset, clickhouse: unpacked(clickhouse), stateDamage }),
);

function unpacked({ url, username, password, database, embedded }: PackedAccess): ClickHouseAccess {
  const secret = new Secret(password);
  if (embedded !== '') return { ...embeddedAccess(embedded, url, secret), database };
  return { url: new SecretUrl(url), username, password: secret, database };
}
