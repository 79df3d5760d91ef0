import { startShipping } from '../app.ts';
import { unpackConfig } from '../config/pack.ts';
import { Secret, SecretUrl } from '../secret.ts';
import { runChild } from './child-process.ts';

/** Entry of the shipper process. */
runChild(({ config, instance, owner, stateDamage, clickhouse: { url, password, ...rest } }) =>
  startShipping(unpackConfig(config), instance, owner, { url: new SecretUrl(url), password: new Secret(password), ...rest }, stateDamage),
);
