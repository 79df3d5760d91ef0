import { startShipping } from '../app.ts';
import { unpackConfig } from '../config/pack.ts';
import { Secret, SecretUrl } from '../secret.ts';
import { runChild } from './child-process.ts';

/** Entry of the shipper process. */
runChild(({ config, instance, stateDamage, clickhouse: { url, password, ...rest } }) =>
  startShipping(unpackConfig(config), instance, { url: new SecretUrl(url), password: new Secret(password), ...rest }, stateDamage),
);
