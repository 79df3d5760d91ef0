import { Latency } from './latency.ts';

/** What happened to the devices of one protocol. Records are fixes: what the ledger lists. */
export class Tally {
  devices = 0;
  /** Devices that are connected and, where the protocol has one, logged in. */
  connected = 0;
  /** Records sent at least once, and those of them that were acknowledged. */
  sent = 0;
  acknowledged = 0;
  /** Records that were never sent, at the end. */
  unsent = 0;
  /** Records sent again. */
  resent = 0;
  /** Records that a device without coverage kept, and answers that came and were taken for lost: parts of what devices do. */
  stored = 0;
  lostAnswers = 0;
  wrongAnswers = 0;
  /** Answers by which the server said no, as the protocol has it. */
  refused = 0;
  /** Commands that came, and replies that went out. */
  commands = 0;
  replies = 0;
  /** Connections that were there and were lost, or given up because the server did not answer. */
  reconnects = 0;
  /** Attempts to connect that failed. */
  failedConnects = 0;
  /** Times that no answer came in time; the device then sends again on a new connection or port. */
  timeouts = 0;
  /** What passed the sockets. */
  bytesSent = 0;
  bytesReceived = 0;
  /** From the sending of what is answered to its answer. */
  readonly latency = new Latency();
  /** The same since the last reading. */
  readonly recent = new Latency();

  merge(other: Tally): void {
    this.devices += other.devices;
    this.connected += other.connected;
    this.sent += other.sent;
    this.acknowledged += other.acknowledged;
    this.unsent += other.unsent;
    this.resent += other.resent;
    this.stored += other.stored;
    this.lostAnswers += other.lostAnswers;
    this.wrongAnswers += other.wrongAnswers;
    this.refused += other.refused;
    this.commands += other.commands;
    this.replies += other.replies;
    this.reconnects += other.reconnects;
    this.failedConnects += other.failedConnects;
    this.timeouts += other.timeouts;
    this.bytesSent += other.bytesSent;
    this.bytesReceived += other.bytesReceived;
    this.latency.merge(other.latency);
    this.recent.merge(other.recent);
  }
}
