/** Where a simulated device is. */
export interface SimulatedPlace {
  /** Epoch ms, later than the one before, in whole steps of the device's clock: seconds for a device of a codec of your own. */
  readonly time: number;
  readonly latitude: number;
  readonly longitude: number;
  readonly altitudeM: number;
  readonly speedKmh: number;
  /** 0 … 359, clockwise from north. */
  readonly courseDeg: number;
  readonly satellites: number;
  readonly ignition: boolean;
  readonly odometerM: number;
  /** 0: the supply is cut. */
  readonly externalMv: number;
  readonly batteryMv: number;
}

/** What a simulated device sends, and the answer that it must get: exactly these bytes. */
export interface SimulatedMessage {
  readonly bytes: Uint8Array;
  readonly answer: Uint8Array;
}

export interface SimulatedReport extends SimulatedMessage {
  /** Bytes [from, to) of the record, as `decode` says them; the whole message when it says none. */
  readonly record?: readonly [from: number, to: number];
}

/** A device that a codec brings for `fixgate simulate`: better written from the protocol's document than from the codec. */
export interface SimulatedDevice {
  /** Identity as the codec gives it. */
  readonly id: string;
  /** The first bytes on a connection, answered before anything else is sent. Absent: none. */
  hello?(): SimulatedMessage;
  /** One position. What is not answered is sent again with the same bytes. */
  report(place: SimulatedPlace): SimulatedReport;
}
