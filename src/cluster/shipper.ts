import { startShipping } from '../app.ts';
import { runChild } from './child-process.ts';

/** Entry of the shipper process. */
runChild((message) => startShipping(message.config, message.instance, message.clickhouseUrl));
