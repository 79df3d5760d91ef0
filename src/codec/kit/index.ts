/**
 * Public subpath `/codec-kit`: what a codec's tests need, in any test runner.
 *
 * ```
 * const failures = checkCodec(codec, [{ name: 'login and fix', transport: 'tcp', chunks: [login, fix] }], { reseal });
 * assert.deepEqual(failures.map(describeFailure), []);
 * ```
 */
export { CHECK_NAMES, type CheckName, type CheckSettings, checkCodec, describeFailure, type Failure, type Sample } from './checks.ts';
export { difference, Feed, type FeedSettings, type FrameSnapshot, feed, KIT_NOW, type RowSnapshot } from './feed.ts';
export { cutRandomly, mutate, Random } from './mutate.ts';
