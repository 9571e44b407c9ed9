/**
 * A fuzzer: feeds decoders with valid samples that it changes at random; the same seed makes the same changes. A
 * decoder may accept an input, or refuse it with an error that the target names. Any other error, an input that takes
 * more than INPUT_MS_MAX, or memory that grows by more than GROWN_BYTES_MAX, is a `Defect`, which has the input.
 */
import { Worker } from 'node:worker_threads';
import { SeededRandom } from '../../src/base/index.ts';

export interface Target {
  readonly name: string;
  /** Valid samples to change. */
  readonly seeds: readonly Buffer[];
  /** Decodes the input; throws if it refuses the input. */
  run(input: Buffer): void | Promise<void>;
  /** Whether an error of `run` is a proper refusal of the input. */
  isRefusal(error: unknown): boolean;
}

const INPUT_MS_MAX = 5000;
const GROWN_BYTES_MAX = 512 * 1024 * 1024;
const HANGS_AFTER_MS = 60_000;

export class Defect extends Error {
  readonly input: Buffer;

  constructor(target: string, place: string, input: Buffer, problem: string, cause?: unknown) {
    super(`${target}, ${place}: ${problem}\n${input.toString('hex').slice(0, 4000)}`, { cause });
    this.input = input;
  }
}

/** Byte values at which decoders change their behaviour. */
const ODD = [0, 1, 2, 0x2e, 0x2f, 0x7f, 0x80, 0xfe, 0xff] as const;
const ODD_WORDS = [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1] as const;

/** One of the seeds with some changes: bits, bytes, words; pieces cut, repeated, or taken from another seed. */
export function mutated(seeds: readonly Buffer[], random: SeededRandom): Buffer {
  let bytes: Buffer = Buffer.from(seeds[random.below(seeds.length)]!);
  // An input with one change is mostly valid, so decoding gets far.
  const changes = random.below(3) > 0 ? 1 : 2 + random.below(random.below(8) === 0 ? 30 : 5);
  for (let change = 0; change < changes; change++) bytes = changed(bytes, seeds, random);
  return bytes;
}

function changed(bytes: Buffer, seeds: readonly Buffer[], random: SeededRandom): Buffer {
  const at = random.below(bytes.length + 1);
  const length = random.below(Math.min(64, bytes.length - at + 1));
  const [before, behind] = [bytes.subarray(0, at), bytes.subarray(at + length)];
  switch (random.below(9)) {
    case 0:
      if (at < bytes.length) bytes[at]! ^= 1 << random.below(8);
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = ODD[random.below(ODD.length)]!;
      return bytes;
    case 2:
      if (at + 4 <= bytes.length) bytes.writeUInt32LE(ODD_WORDS[random.below(ODD_WORDS.length)]!, at);
      return bytes;
    case 3:
      return Buffer.concat([before, behind]);
    case 4:
      return Buffer.concat([
        before,
        bytes.subarray(at, at + length),
        bytes.subarray(at, at + length),
        behind,
      ]);
    case 5:
      return random.below(8) === 0 ? Buffer.from(before) : bytes;
    case 6: {
      const other = seeds[random.below(seeds.length)]!;
      const from = random.below(other.length + 1);
      return Buffer.concat([before, other.subarray(from, from + 1 + random.below(64)), behind]);
    }
    case 7: // A very large varint.
      return Buffer.concat([
        before,
        Buffer.alloc(1 + random.below(9), 0xff),
        Buffer.from([random.below(128)]),
        behind,
      ]);
    default:
      return Buffer.concat([before, Buffer.from([random.below(256)]), behind]);
  }
}

/** Gives one input to a target. */
export async function feed(target: Target, input: Buffer, place = 'a kept input'): Promise<void> {
  const started = performance.now();
  const before = process.memoryUsage.rss();
  try {
    await target.run(Buffer.from(input));
  } catch (error) {
    if (!target.isRefusal(error)) throw new Defect(target.name, place, input, String(error), error);
  }
  const took = performance.now() - started;
  if (took > INPUT_MS_MAX) throw new Defect(target.name, place, input, `it took ${Math.round(took)} ms`);
  const grown = process.memoryUsage.rss() - before;
  if (grown > GROWN_BYTES_MAX)
    throw new Defect(target.name, place, input, `it took ${grown} bytes of memory`);
}

export interface Run {
  readonly seed: number;
  readonly inputs: number;
  /** The run ends after this time, even with fewer inputs. */
  readonly msMax?: number | undefined;
}

/** Returns the number of inputs. If an input does not end, `Watchdog` kills the process. */
export async function fuzz(
  target: Target,
  { seed, inputs, msMax = Number.POSITIVE_INFINITY }: Run,
): Promise<number> {
  using watchdog = new Watchdog();
  const end = performance.now() + msMax;
  let count = 0;
  while (count < inputs && performance.now() < end) {
    const place = `input ${count} of seed ${seed}`;
    watchdog.note(`${target.name}, ${place}`);
    await feed(target, mutated(target.seeds, new SeededRandom(seed * 1_000_003 + count)), place);
    count++;
  }
  return count;
}

const TEXT_BYTES = 256;

/** Kills the process and names the input if an input does not end. Its thread is another, because this one hangs. */
class Watchdog {
  private readonly shared = new SharedArrayBuffer(8 + TEXT_BYTES);
  private readonly beat = new Int32Array(this.shared, 0, 2);
  private readonly text = Buffer.from(this.shared, 8);
  private readonly worker = new Worker(
    `const { workerData: { shared, ms } } = require('node:worker_threads');
     const beat = new Int32Array(shared, 0, 2);
     let last = -1;
     setInterval(() => {
       if (beat[0] === last) {
         const text = Buffer.from(shared, 8, beat[1]).toString();
         require('node:fs').writeSync(2, 'no end: ' + text + '\\n');
         process.kill(process.pid, 'SIGKILL');
       }
       last = beat[0];
     }, ms);`,
    { eval: true, workerData: { shared: this.shared, ms: HANGS_AFTER_MS } },
  );

  note(what: string): void {
    this.beat[1] = this.text.write(what.slice(0, TEXT_BYTES));
    Atomics.add(this.beat, 0, 1);
  }

  [Symbol.dispose](): void {
    void this.worker.terminate();
  }
}
