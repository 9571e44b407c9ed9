/**
 * ACLs of a tree and of the host: the same operations on both leave the same modes and attributes, and let the same
 * users in.
 */
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import test, { type TestContext } from 'node:test';
import fc from 'fast-check';
import { writeXattr } from '../../testing/host/by-path.ts';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { actAs, setUmask } from '../../testing/stores/act-as.ts';
import { scratchDirectory, scratchStore } from '../../testing/stores/scratch-store.ts';
import { isFsError } from '../base/index.ts';
import { createSystem, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_WRONLY } from '../sys/index.ts';
import type { Credentials } from './caller.ts';
import type { FileSystem } from './file-system.ts';
import {
  ACL_GROUP,
  ACL_GROUP_OBJ,
  ACL_MASK,
  ACL_OTHER,
  ACL_USER,
  ACL_USER_OBJ,
  type AclEntry,
  encodeAcl,
} from './posix-acl-format.ts';
import { ACCESS_ACL, DEFAULT_ACL, isAclName } from './xattr-names.ts';

const system = createSystem();

/** Why the host cannot be compared with; false where it can. */
function skipReason(directory: string): string | false {
  if (nativeOnly !== false) return nativeOnly;
  try {
    writeXattr(system, directory, DEFAULT_ACL, Buffer.alloc(0));
    return false;
  } catch (error) {
    if (isFsError(error, 'ENOTSUP')) return 'the filesystem of temporary files has no ACLs';
    throw error;
  }
}

const permissions = fc.nat(7);
const id = fc.integer({ min: 60_001, max: 60_004 });

function entriesOf(tag: number, maxLength: number): fc.Arbitrary<AclEntry[]> {
  return fc.array(
    fc.tuple(permissions, id).map(([bits, who]) => ({ tag, permissions: bits, id: who })),
    { minLength: maxLength === 1 ? 1 : 0, maxLength },
  );
}

/** A value of an attribute, now and then an invalid one. */
const aclValue: fc.Arbitrary<Buffer> = fc
  .tuple(
    entriesOf(ACL_USER_OBJ, 1),
    entriesOf(ACL_USER, 2),
    entriesOf(ACL_GROUP_OBJ, 1),
    entriesOf(ACL_GROUP, 2),
    entriesOf(ACL_MASK, 1),
    entriesOf(ACL_OTHER, 1),
    fc.nat(9),
  )
  .map(([owner, users, group, groups, mask, others, choice]) => {
    if (choice === 0) return Buffer.alloc(0);
    const isNaming = users.length + groups.length > 0;
    // Choice 1 leaves out a mask even where one is needed; choice 2 reverses the order.
    const masks = (isNaming && choice !== 1) || choice > 6 ? mask : [];
    const entries = [...owner, ...users, ...group, ...groups, ...masks, ...others];
    return encodeAcl(choice === 2 ? entries.reverse() : entries);
  });

const mode = fc.nat(0o7777);
const which = fc.nat(20);
const operation = fc.oneof(
  fc.record({ op: fc.constantFrom('file', 'directory', 'symlink'), which, mode, umask: fc.nat(0o777) }),
  fc.record({ op: fc.constant('chmod'), which, mode }),
  fc.record({ op: fc.constantFrom(ACCESS_ACL, DEFAULT_ACL), which, value: aclValue }),
);
type Operation = typeof operation extends fc.Arbitrary<infer Drawn> ? Drawn : never;

/** The host, or a tree. */
interface Side {
  make(kind: 'file' | 'directory' | 'symlink', path: string, mode: number, umask: number): void;
  chmod(path: string, mode: number): void;
  setAcl(path: string, name: string, value: Buffer): void;
  describe(path: string): string;
}

function describeEntry(entryMode: number, xattrs: Iterable<readonly [string, Buffer]>): string {
  const acls = [...xattrs].filter(([name]) => isAclName(name));
  return [
    entryMode.toString(8),
    ...acls.map(([name, value]) => `${name}=${value.toString('hex')}`).sort(),
  ].join(' ');
}

function hostSide(root: string): Side {
  const at = (path: string) => `${root}${path}`;
  return {
    make(kind, path, bits, umask) {
      const before = process.umask(umask);
      try {
        if (kind === 'file') closeSync(openSync(at(path), O_CREAT | O_EXCL | O_WRONLY, bits));
        else if (kind === 'directory') mkdirSync(at(path), bits);
        else symlinkSync('nowhere', at(path));
      } finally {
        process.umask(before);
      }
    },
    chmod: (path, bits) => chmodSync(at(path), bits),
    setAcl: (path, name, value) => writeXattr(system, at(path), name, value),
    describe: (path) => describeEntry(lstatSync(at(path)).mode, system.readHostXattrs(Buffer.from(at(path)))),
  };
}

function treeSide(fileSystem: FileSystem): Side {
  return {
    make(kind, path, bits, umask) {
      setUmask(fileSystem, umask);
      if (kind === 'file') fileSystem.close(fileSystem.open(path, O_CREAT | O_EXCL | O_WRONLY, bits));
      else if (kind === 'directory') fileSystem.makeDirectory(path, bits);
      else fileSystem.symlink('nowhere', path);
    },
    chmod: (path, bits) => fileSystem.chmod(path, bits, true),
    setAcl: (path, name, value) => fileSystem.setXattr(path, name, value, 0, false),
    describe: (path) =>
      describeEntry(
        fileSystem.stat(path, false).mode,
        fileSystem.listXattrs(path, false).map((name) => [name, fileSystem.getXattr(path, name, false)]),
      ),
  };
}

/** The error code of `attempt`; '' when it succeeds. */
function outcomeOf(attempt: () => void): string {
  try {
    attempt();
    return '';
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code);
    throw error;
  }
}

/** Runs the operations below `top`. Returns the outcome of each, and the state after it. */
function historyOf(side: Side, top: string, operations: readonly Operation[]): string[] {
  const directories = [top];
  const paths = [top];
  side.make('directory', top, 0o777, 0o022);
  return operations.map((drawn, index) => {
    let path = paths[drawn.which % paths.length]!;
    const outcome = outcomeOf(() => {
      if ('umask' in drawn) {
        path = `${directories[drawn.which % directories.length]}/${index}`;
        const kind = drawn.op as 'file' | 'directory' | 'symlink';
        side.make(kind, path, drawn.mode, drawn.umask);
        if (kind !== 'symlink') paths.push(path);
        if (kind === 'directory') directories.push(path);
      } else if ('mode' in drawn) side.chmod(path, drawn.mode);
      else side.setAcl(path, drawn.op, drawn.value);
    });
    return `${drawn.op} ${path}: ${outcome} ${side.describe(path)}`;
  });
}

test('the same operations leave the same modes and ACLs as on the host', async (context: TestContext) => {
  const root = scratchDirectory(context);
  const reason = skipReason(root);
  if (reason !== false || process.getuid?.() !== 0) {
    context.skip(reason === false ? 'needs root: a random mode may lock its owner out' : reason);
    return;
  }
  const host = hostSide(root);
  const tree = treeSide((await scratchStore(context)).createEmpty('work').fileSystem);
  let run = 0;
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(operation, { minLength: 1, maxLength: 25 }), (operations) => {
      const top = `/${run++}`;
      const expected = historyOf(host, top, operations);
      assert.deepEqual(historyOf(tree, top, operations), expected);
      for (const line of expected) for (const word of line.split(/[ =]/)) seen.add(word);
    }),
    { numRuns: 300 },
  );
  // The random operations covered these cases.
  for (const word of ['EINVAL', 'EACCES', ACCESS_ACL, DEFAULT_ACL]) assert.ok(seen.has(word), word);
});

/** Whether the host lets `who` open a file with these flags. */
function hostLetsIn(path: string, who: Credentials, flags: number): boolean {
  const groups = process.getgroups!();
  process.setgroups!([...who.groups]);
  process.setegid!(who.gid);
  process.seteuid!(who.uid);
  try {
    return outcomeOf(() => closeSync(openSync(path, flags))) === '';
  } finally {
    process.seteuid!(0);
    process.setegid!(0);
    process.setgroups!(groups);
  }
}

test('the host gives access to the same users', async (context: TestContext) => {
  const root = scratchDirectory(context);
  const reason = skipReason(root);
  if (reason !== false || process.getuid?.() !== 0) {
    context.skip(reason === false ? 'needs root: it acts for other users' : reason);
    return;
  }
  chmodSync(root, 0o755);
  const path = `${root}/file`;
  closeSync(openSync(path, O_CREAT | O_WRONLY));
  chmodSync(path, 0o666);
  if (!hostLetsIn(path, { uid: 60_001, gid: 60_001, groups: [] }, O_RDWR)) {
    context.skip('other users cannot reach temporary files');
    return;
  }
  const { fileSystem } = (await scratchStore(context)).createEmpty('work');
  const who = fc.record({ uid: id, gid: id, groups: fc.array(id, { maxLength: 2 }) });
  const flags = fc.constantFrom(O_RDONLY, O_WRONLY, O_RDWR);
  const answers = new Set<boolean>();
  fc.assert(
    fc.property(aclValue, who, id, id, flags, (value, credentials, uid, gid, access) => {
      rmSync(path);
      closeSync(openSync(path, O_CREAT | O_WRONLY));
      chownSync(path, uid, gid);
      fc.pre(outcomeOf(() => writeXattr(system, path, ACCESS_ACL, value)) === '');
      // Linux ignores an ACL whose mask allows nothing: see `isAllowedBy`.
      fc.pre((lstatSync(path).mode & 0o070) !== 0);
      actAs(fileSystem, undefined);
      setUmask(fileSystem, 0);
      if (fileSystem.tryStat('/file', false) !== undefined) fileSystem.unlink('/file');
      fileSystem.close(fileSystem.open('/file', O_CREAT | O_WRONLY, lstatSync(path).mode & 0o777));
      fileSystem.chown('/file', uid, gid, true);
      fileSystem.setXattr('/file', ACCESS_ACL, value, 0, false);
      actAs(fileSystem, credentials);
      const isLetIn = outcomeOf(() => fileSystem.close(fileSystem.open('/file', access, 0))) === '';
      answers.add(isLetIn);
      assert.equal(isLetIn, hostLetsIn(path, credentials, access));
    }),
    { numRuns: 500 },
  );
  assert.equal(answers.size, 2);
});
