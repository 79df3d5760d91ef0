import { runChild } from '../cluster/child-process.ts';
import { unpackAccess } from '../cluster/clickhouse.ts';
import { unpackConfig } from '../config/pack.ts';
import { startShipping } from './shipper.ts';

/** Entry of the shipper process. */
runChild(({ config, instance, owner, orderOffset, stateDamage, clickhouse }) =>
  startShipping({ config: unpackConfig(config), instance, owner, orderOffset, clickhouse: unpackAccess(clickhouse), stateDamage }),
);
