/** A downlink without commands, for hosts whose tests are not about them. */
export const NO_DOWNLINK = {
  attached: () => {},
  detached: () => {},
  ready: () => {},
  replied: () => {},
  fixed: () => {},
  poke: () => {},
  contradicted: () => {},
};
