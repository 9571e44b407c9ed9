/** The journal on each system, with injected faults, and after its file was cut or changed at any place. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { AssertionError, FsError, type LayerId } from '../base/index.ts';
import { CrashedError, createSystem, FaultySystem, type System } from '../sys/index.ts';
import { Journal } from './journal.ts';
import { HEADER_BYTES, OWNER_AT, RECORD_FIXED_BYTES } from './journal-format.ts';

const LAYER = 7 as LayerId;
const directory = mkdtempSync(join(tmpdir(), 'ramet-journal-'));
after(() => rmSync(directory, { recursive: true }));

let fileCount = 0;
function freshPath(): string {
  fileCount++;
  return join(directory, String(fileCount));
}

const native = createSystem();
const rebooted = new FaultySystem(native, undefined, { bootId: 'another-boot' });

interface Replayed {
  readonly payloads: string[];
  readonly sequences: number[];
  readonly lastSequence: number;
}

function replayOf(journal: Journal, appliedSequence = 0): Replayed {
  const payloads: string[] = [];
  const sequences: number[] = [];
  journal.replay((sequence, payload) => {
    sequences.push(sequence);
    payloads.push(payload.toString('latin1'));
  }, appliedSequence);
  return { payloads, sequences, lastSequence: journal.lastSequence };
}

/** Opens the file as the next process would, and returns what it replays. */
function replayFile(path: string, system: System = native, appliedSequence = 0): Replayed {
  const journal = Journal.open(system, path, LAYER);
  try {
    return replayOf(journal, appliedSequence);
  } finally {
    journal.close();
  }
}

/** Writes a journal file with these records; `null` stands for a mark. */
function writeJournal(path: string, records: readonly (string | null)[], system: System = native): void {
  const journal = Journal.open(system, path, LAYER);
  journal.begin(1, 1);
  for (const record of records) {
    if (record === null) journal.mark();
    else journal.append(Buffer.from(record, 'latin1'));
  }
  journal.close();
}

for (const kind of ['native', 'buffered'] as const) {
  test(`${kind}: what was appended is replayed in order, under its sequences`, () => {
    const system = createSystem(kind);
    const path = freshPath();
    const journal = Journal.open(system, path, LAYER);
    assert.equal(journal.isFresh, true);
    assert.deepEqual(replayOf(journal).payloads, []);
    journal.begin(3, 41);
    assert.equal(journal.append(Buffer.from('one')), 41);
    assert.equal(journal.append(Buffer.from('two')), 42);
    assert.equal(journal.lastMarkedSequence, 40);
    journal.mark();
    journal.sync();
    assert.equal(journal.append(Buffer.from('three')), 43);
    assert.deepEqual(
      [journal.lastSequence, journal.lastMarkedSequence, journal.recordCount, journal.generation],
      [43, 42, 3, 3],
    );
    assert.equal(journal.lengthBytes, 4 * RECORD_FIXED_BYTES + 'onetwothree'.length + 1);
    journal.close();

    assert.deepEqual(replayFile(path, system, 41), {
      payloads: ['two', 'three'],
      sequences: [42, 43],
      lastSequence: 43,
    });
  });

  test(`${kind}: a second opener gets EBUSY and the owner's process id`, () => {
    const system = createSystem(kind);
    const path = freshPath();
    const journal = Journal.open(system, path, LAYER);
    assert.throws(
      () => Journal.open(system, path, LAYER),
      (error) =>
        error instanceof FsError &&
        error.code === 'EBUSY' &&
        error.note === `layer 7 is open for writing in process ${process.pid}`,
    );
    journal.close();
    journal.close();
    Journal.open(system, path, LAYER).remove();
    assert.throws(() => statSync(path), { code: 'ENOENT' });
  });
}

test('an owner whose process id cannot be read is another process', () => {
  const path = freshPath();
  const journal = Journal.open(native, path, LAYER);
  const bytes = readFileSync(path);
  bytes[OWNER_AT]! ^= 1;
  writeFileSync(path, bytes, { flag: 'r+' });
  assert.throws(() => Journal.open(native, path, LAYER), { code: 'EBUSY', note: /another process/ });
  journal.close();
});

test('after a restart of the machine only what a mark covers is replayed', () => {
  const path = freshPath();
  writeJournal(path, ['a', 'b', null, 'c', null, 'd', 'e']);
  const { payloads, lastSequence } = replayFile(path, rebooted);
  assert.deepEqual([payloads, lastSequence], [['a', 'b', 'c'], 3]);
  assert.deepEqual(replayFile(path).payloads, ['a', 'b', 'c', 'd', 'e']);
});

test('without any mark nothing survives a restart of the machine', () => {
  const path = freshPath();
  writeJournal(path, ['a', 'b']);
  const { payloads, lastSequence } = replayFile(path, rebooted);
  assert.deepEqual([payloads, lastSequence], [[], 0]);
});

test('opening, even in another boot, does not change what the next opener replays', () => {
  const path = freshPath();
  writeJournal(path, ['a', null, 'b']);
  for (let round = 0; round < 3; round++) {
    assert.deepEqual(replayFile(path, rebooted).payloads, ['a']);
    assert.deepEqual(replayFile(path).payloads, ['a', 'b']);
  }
});

test('a mark is written only if records have been added since the last one', () => {
  const journal = Journal.open(native, freshPath(), LAYER);
  journal.begin(1, 1);
  journal.mark();
  assert.equal(journal.lengthBytes, 0);
  journal.append(Buffer.from('a'));
  journal.mark();
  const { lengthBytes } = journal;
  journal.mark();
  assert.equal(journal.lengthBytes, lengthBytes);
  journal.close();
});

test('begin discards all earlier records, also those that lie beyond the end of the new ones', () => {
  const path = freshPath();
  const journal = Journal.open(native, path, LAYER);
  journal.begin(1, 1);
  for (let index = 0; index < 100; index++) journal.append(Buffer.from(`old ${index}`));
  journal.begin(2, 101);
  assert.deepEqual([journal.lengthBytes, journal.recordCount, journal.lastSequence], [0, 0, 100]);
  assert.equal(journal.append(Buffer.from('old 0')), 101);
  journal.close();
  const { payloads, lastSequence } = replayFile(path);
  assert.deepEqual([payloads, lastSequence], [['old 0'], 101]);
});

test('begin with the generation of the header takes the next one, and old records stay invalid', () => {
  const path = freshPath();
  const journal = Journal.open(native, path, LAYER);
  journal.begin(5, 1);
  journal.append(Buffer.from('old'));
  journal.begin(5, 1);
  assert.equal(journal.generation, 6);
  journal.close();
  assert.deepEqual(replayFile(path).payloads, []);
});

test('after replay the counts are those of the file, so that a checkpoint can run before begin', () => {
  const path = freshPath();
  writeJournal(path, ['a', 'b', null, 'c']);
  const journal = Journal.open(native, path, LAYER);
  replayOf(journal, 1);
  assert.deepEqual(
    [journal.lastSequence, journal.recordCount, journal.lastMarkedSequence, journal.generation],
    [3, 3, 2, 1],
  );
  assert.throws(() => journal.append(Buffer.from('d')), AssertionError);
  journal.begin(2, 4);
  assert.equal(journal.append(Buffer.from('d')), 4);
  assert.throws(() => replayOf(journal), AssertionError);
  journal.close();
});

test("another layer's journal is not replayed", () => {
  const path = freshPath();
  writeJournal(path, ['a']);
  const journal = Journal.open(native, path, 8 as LayerId);
  assert.equal(journal.isFresh, true);
  assert.deepEqual(replayOf(journal).payloads, []);
  journal.close();
});

test('records may have any size; the file grows in steps and shrinks again', () => {
  const path = freshPath();
  const journal = Journal.open(native, path, LAYER);
  assert.equal(statSync(path).size, 16 * 1024);
  journal.begin(1, 1);
  const sizes = [1, 4096, 8192, 300_000, 5_000_000, 17];
  for (const size of sizes) journal.append(Buffer.alloc(size, size));
  assert.ok(statSync(path).size >= HEADER_BYTES + journal.lengthBytes);
  journal.close();
  assert.deepEqual(
    replayFile(path).payloads.map((payload) => payload.length),
    sizes,
  );
  const again = Journal.open(native, path, LAYER);
  again.begin(2, 7);
  assert.equal(statSync(path).size, 4 * 1024 * 1024);
  for (const size of sizes) again.append(Buffer.alloc(size, 1));
  again.close();
  assert.equal(replayFile(path).payloads.length, sizes.length);
});

test('on ENOSPC the file grows by what is needed only; if that fails too, no record is added', () => {
  const path = freshPath();
  const system = new FaultySystem(native);
  const journal = Journal.open(system, path, LAYER);
  journal.begin(1, 1);
  let refused = 0;
  system.plan = (operation) => {
    if (operation !== 'allocate') return undefined;
    refused++;
    return refused === 1 ? { kind: 'error', code: 'ENOSPC' } : undefined;
  };
  journal.append(Buffer.alloc(20_000, 1));
  assert.equal(
    statSync(path).size,
    4096 * Math.ceil((HEADER_BYTES + 20_000 + RECORD_FIXED_BYTES + 4) / 4096) + 4096,
    'and what records find that give space back',
  );
  system.plan = (operation) => (operation === 'allocate' ? { kind: 'error', code: 'ENOSPC' } : undefined);
  const { lengthBytes } = journal;
  assert.throws(() => journal.append(Buffer.alloc(20_000, 2)), { code: 'ENOSPC' });
  assert.deepEqual([journal.lengthBytes, journal.recordCount, journal.lastSequence], [lengthBytes, 1, 1]);
  system.plan = undefined;
  assert.equal(journal.append(Buffer.from('x')), 2);
  journal.close();
  assert.deepEqual(replayFile(path).sequences, [1, 2]);
});

test('on a full disk there is room for records that give space back, and for a commit mark', () => {
  const path = freshPath();
  const system = new FaultySystem(native);
  const journal = Journal.open(system, path, LAYER);
  journal.begin(1, 1);
  system.plan = (operation) => (operation === 'allocate' ? { kind: 'error', code: 'ENOSPC' } : undefined);
  let count = 0;
  assert.throws(
    () => {
      for (;;) {
        journal.append(Buffer.alloc(100, count));
        count++;
      }
    },
    { code: 'ENOSPC' },
  );
  for (let index = 0; index < 25; index++) journal.append(Buffer.alloc(100, index), true);
  journal.mark();
  assert.throws(() => journal.append(Buffer.from('x')), { code: 'ENOSPC' });
  journal.close();
  assert.equal(replayFile(path).sequences.length, count + 25);
});

test('an append that fails, wholly or torn, leaves no record, even when all its bytes were written', () => {
  for (const bytes of [0, 3, 20, 10_000]) {
    const path = freshPath();
    const system = new FaultySystem(native);
    const journal = Journal.open(system, path, LAYER);
    journal.begin(1, 1);
    journal.append(Buffer.from('kept'));
    let isFirst = true;
    system.plan = (operation) => {
      if (operation !== 'pwrite' || !isFirst) return undefined;
      isFirst = false;
      return { kind: 'torn', bytes };
    };
    assert.throws(() => journal.append(Buffer.from('failed')), { code: 'EIO' });
    assert.deepEqual(replayCopy(path).payloads, ['kept']);
    assert.equal(journal.append(Buffer.from('next')), 2);
    journal.close();
    assert.deepEqual(replayFile(path).payloads, ['kept', 'next']);
  }
});

/** Replays a copy of a file that is still locked. */
function replayCopy(path: string): Replayed {
  const copy = freshPath();
  writeFileSync(copy, readFileSync(path));
  return replayFile(copy);
}

test('a disk that fails the erasing write too still reports the first error', () => {
  const system = new FaultySystem(native);
  const journal = Journal.open(system, freshPath(), LAYER);
  journal.begin(1, 1);
  system.plan = (operation) => (operation === 'pwrite' ? { kind: 'error', code: 'EIO' } : undefined);
  assert.throws(() => journal.append(Buffer.from('failed')), { code: 'EIO' });
  system.plan = undefined;
  assert.equal(journal.append(Buffer.from('next')), 1);
  journal.close();
});

test('a failed open closes the file', () => {
  for (const [operation, code] of [
    ['pread', 'EIO'],
    ['allocate', 'ENOSPC'],
    ['pwrite', 'EIO'],
    ['tryLock', 'EIO'],
  ] as const) {
    const system = new FaultySystem(native, (asked) =>
      asked === operation ? { kind: 'error', code } : undefined,
    );
    assert.throws(() => Journal.open(system, freshPath(), LAYER), { code });
    assert.equal(system.count('close'), 1, operation);
  }
  assert.throws(() => Journal.open(native, join(directory, 'missing', 'x'), LAYER), { code: 'ENOENT' });
});

test('replay, sync and begin throw EIO when the disk fails', () => {
  const path = freshPath();
  writeJournal(path, ['a']);
  const system = new FaultySystem(native);
  const journal = Journal.open(system, path, LAYER);
  system.plan = () => ({ kind: 'error', code: 'EIO' });
  assert.throws(() => replayOf(journal), { code: 'EIO' });
  assert.throws(() => journal.sync(), { code: 'EIO' });
  assert.throws(() => journal.begin(2, 2), { code: 'EIO' });
  system.plan = undefined;
  assert.deepEqual(replayOf(journal).payloads, ['a']);
  journal.close();
});

const recordsArbitrary = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 60 }) },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  { maxLength: 30 },
);

function payloadsOf(records: readonly (string | null)[]): string[] {
  return records.filter((record) => record !== null);
}

/** The records before the last mark. */
function markedOf(records: readonly (string | null)[]): string[] {
  return payloadsOf(records.slice(0, records.lastIndexOf(null) + 1));
}

function assertPrefix(found: readonly string[], all: readonly string[]): void {
  assert.deepEqual(found, all.slice(0, found.length));
}

test('property: whatever is written is replayed, all of it or up to the mark', () => {
  fc.assert(
    fc.property(recordsArbitrary, (records) => {
      const path = freshPath();
      writeJournal(path, records);
      assert.deepEqual(replayFile(path).payloads, payloadsOf(records));
      assert.deepEqual(replayFile(path, rebooted).payloads, markedOf(records));
      rmSync(path);
    }),
    { numRuns: 60 },
  );
});

test('property: cut anywhere, a journal yields a prefix', () => {
  fc.assert(
    fc.property(recordsArbitrary, fc.nat(3000), (records, cut) => {
      const path = freshPath();
      writeJournal(path, records);
      truncateSync(path, HEADER_BYTES + cut);
      const all = payloadsOf(records);
      assertPrefix(replayFile(path).payloads, all);
      truncateSync(path, cut % HEADER_BYTES);
      assertPrefix(replayFile(path).payloads, all);
      rmSync(path);
    }),
    { numRuns: 60 },
  );
});

test('property: with bits flipped anywhere, a journal yields a prefix and never more than the marks allow', () => {
  fc.assert(
    fc.property(
      recordsArbitrary,
      fc.array(fc.tuple(fc.nat(2500), fc.nat(7)), { minLength: 1, maxLength: 3 }),
      fc.boolean(),
      (records, flips, isInHeader) => {
        const path = freshPath();
        writeJournal(path, records);
        const bytes = readFileSync(path);
        for (const [at, bit] of flips) bytes[(isInHeader ? at % 200 : HEADER_BYTES + at) + 0]! ^= 1 << bit;
        writeFileSync(path, bytes);
        assertPrefix(replayFile(path).payloads, payloadsOf(records));
        const marked = replayFile(path, rebooted).payloads;
        assertPrefix(marked, markedOf(records));
        rmSync(path);
      },
    ),
    { numRuns: 150 },
  );
});

test('a change of any byte of the first record stops the replay before it', () => {
  const path = freshPath();
  writeJournal(path, ['first', 'second']);
  const whole = readFileSync(path);
  const recordBytes = RECORD_FIXED_BYTES + 'first'.length;
  for (let at = 0; at < recordBytes; at++) {
    const bytes = Buffer.from(whole);
    bytes[HEADER_BYTES + at]! ^= 0x40;
    writeFileSync(path, bytes);
    assert.deepEqual(replayFile(path).payloads, [], `byte ${at}`);
  }
});

test('where the newer header is damaged, the older one does not bring old records back', () => {
  const path = freshPath();
  const journal = Journal.open(native, path, LAYER);
  journal.begin(1, 1);
  journal.append(Buffer.from('old'));
  journal.begin(2, 2);
  journal.append(Buffer.from('new'));
  journal.close();
  const bytes = readFileSync(path);
  bytes[30]! ^= 1;
  writeFileSync(path, bytes);
  assert.deepEqual(replayFile(path).payloads, []);
});

/** Appends, marks and syncs. A record goes into `acknowledged` once its append has returned. */
function workload(system: System, path: string, acknowledged: string[]): void {
  const journal = Journal.open(system, path, LAYER);
  journal.begin(1, 1);
  for (let index = 0; index < 12; index++) {
    const payload = `record ${index} `.repeat(1 + (index % 3) * 400);
    journal.append(Buffer.from(payload));
    acknowledged.push(payload);
    if (index % 4 === 3) journal.mark();
    if (index % 6 === 5) journal.sync();
  }
  journal.close();
}

test('a crash at any call, also in the middle of a write, loses nothing that was acknowledged', () => {
  const dry = new FaultySystem(native);
  const all: string[] = [];
  workload(dry, freshPath(), all);
  const calls = dry.callCount;
  assert.ok(calls > 25);
  for (let crashAt = 0; crashAt < calls; crashAt++) {
    for (const bytes of [undefined, 10, 1500]) {
      const path = freshPath();
      const acknowledged: string[] = [];
      const system = new FaultySystem(native, (operation, index) => {
        if (index !== crashAt) return undefined;
        return bytes === undefined || operation !== 'pwrite' ? { kind: 'crash' } : { kind: 'crash', bytes };
      });
      assert.throws(() => workload(system, path, acknowledged), CrashedError);
      if (crashAt === 0) continue;
      const { payloads } = replayFile(path);
      assert.ok(payloads.length >= acknowledged.length, `crash at ${crashAt}`);
      assertPrefix(payloads, all);
      rmSync(path);
    }
  }
});
