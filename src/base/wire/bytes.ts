/** Bytes as the runtime hands them over. They are lent for one call: index them; never slice, keep or write them. */
export type Bytes = Uint8Array;
