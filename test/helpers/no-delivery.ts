/** A delivery without commands, for hosts whose tests are not about them. */
export const NO_DELIVERY = {
  attached: () => {},
  detached: () => {},
  ready: () => {},
  replied: () => {},
  fixed: () => {},
  poke: () => {},
  contradicted: () => {},
};
