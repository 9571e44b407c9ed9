/**
 * Host files as blobs. A followed file is read as it is now, a recorded one only while it is unchanged. Few descriptors
 * are open at a time, and all are closed in the end.
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';
import { type BlobId, FsError, isFsError, type LayerId } from '../base/index.ts';
import { createSystem, FaultySystem } from '../sys/index.ts';
import {
  EXTERNAL_BLOB_FIRST,
  ExternalFiles,
  type ExternalState,
  FOLLOWED_BLOB_FIRST,
  isExternal,
} from './external-files.ts';

const BLOB = EXTERNAL_BLOB_FIRST as BlobId;

class Scene {
  readonly system = new FaultySystem(createSystem());
  readonly files = new ExternalFiles(this.system);
  readonly path: string;

  constructor(context: TestContext) {
    this.path = join(scratchDirectory(context), 'file');
    fs.writeFileSync(this.path, 'content');
    const state = this.state();
    this.files.source = {
      externalState: (blob) => (blob === BLOB ? state : undefined),
      externalPlace: () => ({ shownPath: this.path, open: () => this.open() }),
    };
  }

  open(): number {
    return this.system.openHost(Buffer.from(this.path), 0);
  }

  state(): ExternalState {
    const stat = this.system.statHost(Buffer.from(this.path), false);
    const { ino, btime, size, mtime, ctime } = stat;
    const layer = 1 as LayerId;
    return { layer, ino, birth: btime, sizeBytes: size, modified: mtime, changed: ctime, path: 'file' };
  }

  read(blob: BlobId): string {
    const target = Buffer.alloc(10, 'x');
    this.files.read(blob, 0, target, 0, 10);
    return target.toString().replaceAll('\0', '.');
  }
}

describe('host files as blobs', { skip: nativeOnly }, () => {
  test('their numbers differ from those of stored blobs', () => {
    assert.deepEqual(
      [1, EXTERNAL_BLOB_FIRST, FOLLOWED_BLOB_FIRST].map((blob) => isExternal(blob as BlobId)),
      [false, true, true],
    );
  });

  test('a followed file is read as it is now, with zeros after its end', (context) => {
    const scene = new Scene(context);
    const blob = scene.files.follow(() => scene.open());
    assert.equal(scene.read(blob), 'content...');
    fs.writeFileSync(scene.path, 'other');
    assert.equal(scene.read(blob), 'other.....');
    fs.renameSync(scene.path, `${scene.path}-away`);
    fs.writeFileSync(scene.path, 'third');
    assert.equal(scene.read(blob), 'other.....', 'the first file is still open');
    scene.files.close(blob);
    assert.equal(scene.read(blob), 'third.....');
    scene.files.unfollow(blob);
    assert.throws(() => scene.read(blob), /EIO/);
  });

  test('holes are those of the host file; a recorded file that has changed is ESTALE', (context) => {
    const scene = new Scene(context);
    const blob = scene.files.follow(() => scene.open());
    const seeks = (of: BlobId, at: number) => [scene.files.seekData(of, at), scene.files.seekHole(of, at)];
    assert.deepEqual(seeks(blob, 0), [0, undefined], 'the end of the file is no hole');
    assert.deepEqual(seeks(blob, 7), [undefined, undefined], 'there is nothing after the end');
    assert.deepEqual(seeks(BLOB, 0), [0, undefined]);
    fs.truncateSync(scene.path, 2 ** 20);
    assert.deepEqual(seeks(blob, 5), [5, 4096]);
    assert.deepEqual(seeks(blob, 2 ** 16), [undefined, 2 ** 16]);
    for (const seek of [() => scene.files.seekData(BLOB, 0), () => scene.files.seekHole(BLOB, 0)])
      assert.throws(seek, /ESTALE.*was changed/);
  });

  const changes: readonly (readonly [string, (path: string) => void, RegExp])[] = [
    ['written in place', (path) => fs.writeFileSync(path, 'CONTENT'), /was changed/],
    ['made longer', (path) => fs.appendFileSync(path, '!'), /was changed/],
    ['cut', (path) => fs.truncateSync(path, 3), /was changed/],
    ['given another mode', (path) => fs.chmodSync(path, 0o600), /was changed/],
    ['removed', (path) => fs.rmSync(path), /was (removed|changed)|is gone/],
    [
      'replaced',
      (path) => {
        fs.writeFileSync(`${path}-new`, 'content');
        fs.renameSync(`${path}-new`, path);
      },
      /was (removed|changed|replaced)/,
    ],
  ];
  for (const [name, change, message] of changes) {
    for (const isOpen of [false, true]) {
      test(`a recorded file ${name} is ESTALE, ${isOpen ? 'if open before' : 'if opened after'}`, async (context) => {
        const scene = new Scene(context);
        if (isOpen) assert.equal(scene.read(BLOB), 'content...');
        await new Promise((resolve) => setTimeout(resolve, 12));
        change(scene.path);
        assert.throws(
          () => scene.read(BLOB),
          (error) => isFsError(error, 'ESTALE') && message.test(error.message),
        );
        assert.match(scene.files.problem(BLOB) ?? '', /host file/);
      });
    }
  }

  test('an unchanged recorded file has no problem; a change during the read is noticed', (context) => {
    const scene = new Scene(context);
    assert.equal(scene.files.problem(BLOB), undefined);
    scene.system.plan = (operation) => {
      if (operation === 'pread') fs.appendFileSync(scene.path, ' more');
      return undefined;
    };
    assert.throws(() => scene.read(BLOB), /ESTALE/);
  });

  test('few files stay open, and none after closeAll or a failed open', (context) => {
    const scene = new Scene(context);
    const count = (): number => fs.readdirSync('/proc/self/fd').length;
    const before = count();
    const blobs = Array.from({ length: 600 }, () => scene.files.follow(() => scene.open()));
    for (const blob of blobs) scene.read(blob);
    assert.ok(count() - before <= 256, `${count() - before} are open`);
    scene.files.closeAll();
    assert.equal(count(), before);
    scene.system.plan = (operation) =>
      operation === 'statFile' ? { kind: 'error', code: 'EIO' } : undefined;
    assert.throws(() => scene.read(BLOB), FsError);
    assert.equal(count(), before, 'a file whose stat failed is closed');
  });
});
