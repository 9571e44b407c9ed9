/** Wrong arguments to the library fail with Node's messages, before the call does anything. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Fork, Snapshot, Store } from './library.ts';

interface Fixture {
  readonly directory: string;
  readonly store: Store;
  readonly base: Snapshot;
  readonly fork: Fork;
}

async function fixture(context: TestContext): Promise<Fixture> {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-test-'));
  mkdirSync(join(directory, 'repo'));
  writeFileSync(join(directory, 'repo/file'), 'content\n');
  const store = await Store.open(join(directory, 'store'));
  context.after(async () => {
    // Closing comes first, because without libc it makes a lock file beside the tables.
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const base = await store.import(join(directory, 'repo'), { name: 'base' });
  return { directory, store, base, fork: await base.fork('fork') };
}

// The types forbid what these tests do.
// biome-ignore lint/suspicious/noExplicitAny: the tests pass arguments of any type.
type Anything = any;

/** The error that a call throws or rejects with; undefined if it succeeds. */
async function failureOf(call: () => unknown): Promise<Error | undefined> {
  try {
    const made = await call();
    if (made instanceof Store) await made.close();
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

test('a missing or wrong argument is named, with the texts of Node', async (context) => {
  const { directory, store, base, fork } = await fixture(context);
  const repo = join(directory, 'repo');
  const wrong = undefined as Anything;
  for (const [call, code, message] of [
    [() => Store.open(wrong), 'TYPE', 'The "directory" argument must be of type string. Received undefined'],
    [
      () => Store.open(''),
      'VALUE',
      /^The argument 'directory' must be a path, not empty and without null bytes/,
    ],
    [() => Store.open('a\0b'), 'VALUE', /^The argument 'directory' must be a path/],
    [() => Store.open('x', null as Anything), 'TYPE', /^The "options" argument must be of type object/],
    [
      () => Store.open('x', { create: 1 } as Anything),
      'TYPE',
      /"options\.create" property must be of type boolean/,
    ],
    [
      () => Store.open('x', { cache: {} } as Anything),
      'TYPE',
      /"options\.cache\.inodesMax" property must be/,
    ],
    [
      () => store.import(wrong, { name: 'x' }),
      'TYPE',
      /^The "hostDirectory" argument must be of type string/,
    ],
    [() => store.import('', { name: 'x' }), 'VALUE', /^The argument 'hostDirectory' must be a path/],
    [() => store.import(repo, wrong), 'TYPE', /^The "options" argument must be of type object/],
    [
      () => store.import(repo, {} as Anything),
      'TYPE',
      /^The "options\.name" property must be of type string/,
    ],
    [() => store.import(repo, { name: 'x', concurrency: '4' } as Anything), 'TYPE', /"options\.concurrency"/],
    [
      () => store.import(repo, { name: 'x', whiteouts: 'docker' } as Anything),
      'VALUE',
      "The property 'options.whiteouts' must be one of: 'oci', 'overlay', 'none'. Received 'docker'",
    ],
    [
      () => store.import(repo, { name: 'x', signal: {} } as Anything),
      'TYPE',
      /"options\.signal" property must be an/,
    ],
    [
      () => store.import(repo, { name: 'x', onReport: 1 } as Anything),
      'TYPE',
      /"options\.onReport" property must be/,
    ],
    [() => store.snapshot(wrong), 'TYPE', /^The "name" argument must be of type string/],
    [() => store.fork(wrong), 'TYPE', /^The "name" argument must be of type string/],
    [() => store.createFork(wrong), 'TYPE', /^The "options" argument must be of type object/],
    [
      () => store.createFork({ name: 'x' } as Anything),
      'TYPE',
      'The "options.lowers" property must be an instance of Array. Received undefined',
    ],
    [
      () => store.createFork({ name: 'x', lowers: 'base' } as Anything),
      'TYPE',
      /"options\.lowers" property must be an/,
    ],
    [
      () => store.createFork({ name: 'x', lowers: [base] } as Anything),
      'TYPE',
      /"options\.lowers\[0\]" property must/,
    ],
    [
      () => store.createFork({ lowers: [] } as Anything),
      'TYPE',
      /"options\.name" property must be of type string/,
    ],
    [() => store.diff('base', wrong), 'TYPE', /^The "to" argument must be of type string/],
    [() => store.drop(wrong), 'TYPE', /^The "name" argument must be of type string/],
    [
      () => store.dedupe({ trees: 'base' } as Anything),
      'TYPE',
      /"options\.trees" property must be an instance of Array/,
    ],
    [
      () => store.dedupe({ timeMs: '1' } as Anything),
      'TYPE',
      /"options\.timeMs" property must be of type number/,
    ],
    [
      () => store.fsck({ scrub: 'yes' } as Anything),
      'TYPE',
      /"options\.scrub" property must be of type boolean/,
    ],
    [() => base.fork(wrong), 'TYPE', /^The "name" argument must be of type string/],
    [() => base.diff(wrong), 'TYPE', /^The "other" argument must be of type string/],
    [() => base.map(wrong), 'TYPE', /^The "path" argument must be of type string/],
    [
      () => base.map('/file', { verify: 1 } as Anything),
      'TYPE',
      /"options\.verify" property must be of type boolean/,
    ],
    [() => fork.snapshot(wrong), 'TYPE', /^The "name" argument must be of type string/],
    [() => fork.fork(wrong), 'TYPE', /^The "name" argument must be of type string/],
    [
      () => fork.extentSame('/file', 0, 0, wrong),
      'TYPE',
      /^The "destinations" argument must be an instance of Array/,
    ],
    [
      () => fork.extentSame('/file', 0, 0, [wrong]),
      'TYPE',
      /^The "destinations\[0\]" argument must be of type object/,
    ],
    [() => fork.mount(wrong), 'TYPE', /^The "directory" argument must be of type string/],
    [
      () => fork.mount('x', { io: 'fast' } as Anything),
      'VALUE',
      /'options\.io' must be one of: 'cached', 'shared', 'dir/,
    ],
    [() => fork.commit({ to: '' }), 'VALUE', /^The property 'options\.to' must be a path/],
    [
      () => fork.commit({ conflicts: 'ours' } as Anything),
      'VALUE',
      /must be one of: 'none', 'force', 'skip'/,
    ],
    [() => fork.merge(wrong), 'TYPE', /^The "from" argument must be of type string/],
    [
      () => fork.merge('base', { conflicts: true } as Anything),
      'VALUE',
      /must be one of: 'none', 'ours', 'theirs'/,
    ],
    [() => fork.rollback(wrong), 'TYPE', /^The "snapshot" argument must be of type string/],
    [
      () => fork.rollback('base', { discard: 1 } as Anything),
      'TYPE',
      /"options\.discard" property must be of type bool/,
    ],
    [() => fork.exportChanges(wrong), 'TYPE', /^The "destination" argument must be of type string/],
    [
      () => fork.exportChanges('x', { format: 'zip' } as Anything),
      'VALUE',
      /must be one of: 'oci', 'overlay'/,
    ],
  ] as const) {
    const failure = await failureOf(call);
    assert.ok(failure instanceof TypeError, `${call}: ${failure}`);
    assert.equal((failure as NodeJS.ErrnoException).code, `ERR_INVALID_ARG_${code}`);
    if (typeof message === 'string') assert.equal(failure.message, message);
    else assert.match(failure.message, message);
  }
  // Nothing was closed, made or changed.
  assert.equal(fork.fs.readFileSync('/file', 'utf8'), 'content\n');
  assert.deepEqual((await store.list()).map(({ name }) => name).sort(), ['base', 'fork']);
  assert.deepEqual(readdirSync(directory).sort(), ['repo', 'store']);
});

test('an undefined option means the same as a missing one', async (context) => {
  const { directory, store, fork } = await fixture(context);
  const none = undefined as Anything;
  await store.import(join(directory, 'repo'), {
    name: 'again',
    against: none,
    signal: none,
    concurrency: none,
  });
  await store.createFork({ name: 'empty', lowers: [], pin: none });
  assert.deepEqual(await fork.diff(none), []);
  assert.equal((await store.dedupe(none)).isComplete, true);
});

const WRONG = [
  undefined,
  null,
  5,
  -1.5,
  Number.NaN,
  true,
  '',
  'a\0b',
  '../..',
  {},
  [],
  [5],
  Symbol('s'),
  1n,
  () => 1,
];

/** Methods that the test below does not call: they close what the others need, or are internal. */
const LEFT_OUT = new Set(['constructor', 'close', 'openTree', 'forkOf', 'snapshotOf', 'mountFork']);

function methodsOf(prototype: object): string[] {
  return Object.entries(Object.getOwnPropertyDescriptors(prototype))
    .filter(([name, { value }]) => typeof value === 'function' && !LEFT_OUT.has(name))
    .map(([name]) => name);
}

test('an argument of any type, at any position of any call, gives an error with a code, if any', async (context) => {
  const { directory, store, base, fork } = await fixture(context);
  const missing = join(directory, 'none/there');
  // The calls below resolve relative paths from `directory`.
  const before = process.cwd();
  process.chdir(directory);
  context.after(() => process.chdir(before));
  const subjects: readonly (readonly [object, readonly string[]])[] = [
    [Store, ['open']],
    [store, methodsOf(Store.prototype)],
    [base, methodsOf(Snapshot.prototype)],
    [fork, methodsOf(Fork.prototype)],
  ];
  let failures = 0;
  for (const [subject, names] of subjects) {
    for (const name of names) {
      for (const value of WRONG) {
        for (const args of [[value], [missing, value], ['base', value], ['/file', 0, 0, value]]) {
          // Store.open(value) would make a store of that name.
          if (subject === Store && args.length === 1 && typeof value === 'string') continue;
          if (subject === Store) args[1] ??= { create: false };
          const failure = await failureOf(() => (subject as Anything)[name](...args));
          if (failure === undefined) continue;
          failures++;
          const { code } = failure as NodeJS.ErrnoException;
          assert.match(String(code), /^E[A-Z_]+$/, `${name}(${args.map(String)}): ${failure.stack}`);
        }
      }
    }
  }
  assert.ok(failures > 300, `${failures} calls failed`);
  assert.equal((await store.fsck()).isClean, true);
});
