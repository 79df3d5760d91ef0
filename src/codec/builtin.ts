import gt06 from '../../codecs/gt06/index.ts';
import h02 from '../../codecs/h02/index.ts';
import jt808 from '../../codecs/jt808/index.ts';
import queclink from '../../codecs/queclink/index.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import type { Codec } from './contract.ts';

/** The codecs that are shipped; a new one adds its line. The order is that in which an auto listener asks them. */
export const BUILTIN_CODECS: readonly Codec[] = [teltonika, gt06, h02, jt808, queclink];
