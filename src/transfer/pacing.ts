/** Divides long synchronous work into slices, so that the event loop gets its turns, and reports progress. */
import { yieldToEventLoop } from '../base/index.ts';

/** The event loop gets a turn at least this often. */
const TURN_MS = 12;
const PROGRESS_MS = 100;

export class Pacing {
  private readonly tell: () => void;
  private lastTurn = performance.now();
  private lastTold = 0;

  /** `turn` calls `tell` ten times a second at most. */
  constructor(tell: () => void) {
    this.tell = tell;
  }

  /** Whether it is time to call `turn`. */
  get isDue(): boolean {
    return performance.now() - this.lastTurn >= TURN_MS;
  }

  async turn(): Promise<void> {
    await yieldToEventLoop();
    this.lastTurn = performance.now();
    if (this.lastTurn - this.lastTold < PROGRESS_MS) return;
    this.lastTold = this.lastTurn;
    this.tell();
  }
}
