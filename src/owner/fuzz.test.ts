/**
 * Requests of every kind, in pieces of every size, from clients that may hang up: each whole line gets one answer, no
 * answer reports a defect, and the owner keeps running. Set RAMET_FUZZ_SECONDS=n and RAMET_FUZZ_SEED=n to try more.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { ScratchOwner } from '../../testing/owner/scratch-owner.ts';
import { until } from '../../testing/pace/until.ts';
import { SeededRandom } from '../base/index.ts';
import { PROTOCOL_VERSION, REQUEST_BYTES_MAX } from './protocol.ts';

const SECONDS = Number(process.env.RAMET_FUZZ_SECONDS ?? 2);
/** Seeds that have found defects before; RAMET_FUZZ_SEED=n tries only n. */
const SEEDS = process.env.RAMET_FUZZ_SEED === undefined ? [1, 2, 3] : [Number(process.env.RAMET_FUZZ_SEED)];

const OPERATIONS = [
  'hello',
  'status',
  'mounts',
  'mount',
  'hold',
  'release',
  'unmount',
  'fork',
  'snapshot',
  'clone',
  'settle',
  'freeze',
  'none',
  '__proto__',
  'constructor',
  '',
];
const NAMES = [
  'one',
  'two',
  'base',
  'none',
  '',
  '.',
  '..',
  '../../../x',
  'a/b',
  'a\0b',
  'ä',
  '中',
  'x'.repeat(300),
  '\ud800',
];
const PATHS = [
  '/',
  '/a',
  'relative',
  '../up',
  '/a/../b',
  '/a//b',
  '/a/',
  '/\0',
  `/${'p/'.repeat(3000)}`,
  '/some/where',
  '/中',
];
const FIELDS = [
  'fork',
  'directory',
  'io',
  'allowOther',
  'noAtime',
  'isHeld',
  'target',
  'isLazy',
  'source',
  'name',
  'sourcePath',
  'targetPath',
  'forks',
  'protocol',
  'pid',
];

class Fuzz {
  private readonly random: SeededRandom;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  private pick<T>(values: readonly T[]): T {
    return values[this.random.below(values.length)]!;
  }

  private value(depth = 0): unknown {
    const makers: (() => unknown)[] = [
      () => this.pick(NAMES),
      () => this.pick(PATHS),
      () => this.pick([0, -1, 1.5, 1e308, 2 ** 53, PROTOCOL_VERSION]),
      () => this.pick([true, false, null]),
      () => this.pick(['cached', 'direct', 'shared']),
      () => Array.from({ length: this.random.below(depth > 2 ? 2 : 40) }, () => this.value(depth + 1)),
      () => ({ [this.pick(FIELDS)]: depth > 2 ? 0 : this.value(depth + 1) }),
    ];
    return this.pick(makers)();
  }

  /** A value for the field: mostly one that suits it, sometimes any. */
  private field(name: string): unknown {
    if (this.random.below(6) === 0) return this.value();
    if (/^(fork|source|name|target)$/.test(name))
      return this.pick(this.random.below(4) === 0 ? PATHS : NAMES.slice(0, 4));
    if (/^(directory|.*Path)$/.test(name)) return this.pick(PATHS);
    if (name === 'forks')
      return Array.from({ length: this.random.below(2000) }, () => this.pick(NAMES.slice(0, 4)));
    return this.value();
  }

  /** A line without its newline, and whether it is a request whose answer must carry its id. */
  line(id: number): { readonly text: string; readonly isRequest: boolean } {
    const parameters = Object.fromEntries(
      FIELDS.filter(() => this.random.below(3) > 0).map((name) => [name, this.field(name)]),
    );
    const text = JSON.stringify({ id, operation: this.pick(OPERATIONS), parameters });
    const isLong = Buffer.byteLength(text) > REQUEST_BYTES_MAX;
    if (!isLong && this.random.below(4) > 0) return { text, isRequest: true };
    const broken = [
      () => text.slice(0, this.random.below(Math.min(text.length, 60_000))),
      () => JSON.stringify(this.value()).slice(0, 60_000),
      () => '['.repeat(this.random.below(60_000)),
      () => JSON.stringify({ id: this.pick(['1', null, {}]), operation: 'status' }),
      () => String.fromCharCode(...Array.from({ length: 40 }, () => 32 + this.random.below(2000))),
    ];
    return { text: this.pick(broken)(), isRequest: false };
  }

  /** The bytes in pieces of random sizes. */
  *pieces(bytes: Buffer): Generator<Buffer> {
    for (let at = 0; at < bytes.length; ) {
      const size = this.random.below(3) === 0 ? 1 + this.random.below(20) : 1 + this.random.below(100_000);
      yield bytes.subarray(at, at + size);
      at += size;
    }
  }

  below(count: number): number {
    return this.random.below(count);
  }
}

interface Answer {
  readonly id: number | null;
  readonly error?: { readonly kind: string; readonly message?: string };
}

/** Sends all lines and waits for one answer to each. Returns undefined if the client is to hang up in the middle. */
async function talk(
  socket: Socket,
  fuzz: Fuzz,
  lines: readonly string[],
  hangsUp: boolean,
): Promise<Answer[] | undefined> {
  let said = '';
  socket.on('data', (bytes: Buffer) => {
    said += bytes.toString();
  });
  const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
  const end = hangsUp ? fuzz.below(bytes.length) : bytes.length;
  for (const piece of fuzz.pieces(bytes.subarray(0, end))) socket.write(piece);
  if (hangsUp) {
    socket.destroySoon();
    return undefined;
  }
  await until(() => said.split('\n').length > lines.length || socket.destroyed, 'everything is answered');
  return said
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Answer);
}

for (const seed of SEEDS) {
  test(`requests of any kind are answered, seed ${seed}`, async (t) => {
    const scratch = await ScratchOwner.start(t);
    scratch.makeFork('one');
    scratch.makeFork('two');
    scratch.engine.snapshot('two', 'base');
    const fuzz = new Fuzz(seed);
    const endMs = performance.now() + (SECONDS * 1000) / SEEDS.length;
    let requests = 0;
    do {
      const socket = createConnection(scratch.place.socketPath);
      socket.on('error', () => undefined);
      const hello = { id: 0, operation: 'hello', parameters: { protocol: PROTOCOL_VERSION, pid: 1 } };
      const lines = [{ text: JSON.stringify(hello), isRequest: true }];
      for (let left = fuzz.below(200); left > 0; left--) lines.push(fuzz.line(lines.length));
      requests += lines.length;
      const texts = lines.map(({ text }) => text.replaceAll('\n', ' '));
      const answers = await talk(socket, fuzz, texts, fuzz.below(4) === 0);
      socket.destroy();
      if (answers === undefined) continue;
      const byId = new Map(answers.map((answer) => [answer.id, answer]));
      lines.forEach(({ isRequest, text }, id) => {
        if (isRequest) assert.ok(byId.has(id), `no answer to ${text.slice(0, 300)}`);
      });
      for (const { id, error } of answers)
        assert.notEqual(error?.kind, 'defect', `${error?.message}: ${texts[id ?? 0]?.slice(0, 500)}`);
    } while (performance.now() < endMs);
    t.diagnostic(`${requests} lines`);
    const client = await scratch.client();
    assert.equal((await client.request('status', {})).connections, 0);
    const made = readdirSync(join(scratch.engine.directory, '..'));
    assert.deepEqual(
      made.filter((name) => name === 'x'),
      [],
      'nothing was made outside of the store',
    );
    assert.ok(!existsSync(join(scratch.engine.directory, 'run/x')));
  });
}
