/** The layers of an OCI image: unpacked over each other, and as a union of lowers. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { importTree } from '../../src/transfer/index.ts';
import { nativeOnly } from '../host/native-only.ts';
import { scratchDirectory, scratchStore } from '../stores/scratch-store.ts';
import { problemsOf } from '../stores/shared-store.ts';
import { type TarPart, tarBytes } from '../trees/tar-bytes.ts';
import { shownBy, sorted } from './component-trees.ts';

/** The examples of layer.md of the OCI image-spec, and further cases of its rules. */
const LAYERS: readonly (readonly TarPart[])[] = [
  [
    { path: './' },
    { path: 'etc/' },
    { path: 'etc/my-app-config', content: '1' },
    { path: 'bin/' },
    { path: 'bin/my-app-binary', content: '1' },
    { path: 'bin/my-app-tools', content: '1' },
    { path: 'bin/tools/my-app-tool-one', content: '1' },
    { path: 'a/b/c/foo', content: '1' },
    { path: 'was/a/directory', content: '1' },
    { path: 'usr/lib/x', content: '1' },
    { path: 'lib', type: 'symlink', target: 'usr/lib' },
  ],
  [
    { path: 'etc/' },
    { path: 'etc/my-app.d/default.cfg', content: '2' },
    { path: 'bin/' },
    { path: 'bin/my-app-tools', content: '2' },
    { path: 'etc/.wh.my-app-config' },
    { path: 'a/.wh..wh..opq' },
    { path: 'a/b/c/bar', content: '2' },
    { path: 'was', content: 'a file' },
    { path: '.wh..wh.plnk' },
  ],
  [
    { path: 'bin/.wh.tools' },
    { path: 'bin/tools/again', content: '3' },
    { path: '.wh.was' },
    { path: 'etc/my-app-config', content: '3' },
    { path: '.wh.nothing' },
  ],
];

/** The regular files of the image, determined by hand. */
const IMAGE = [
  ['/a/b/c/bar', '2'],
  ['/bin/my-app-binary', '1'],
  ['/bin/my-app-tools', '2'],
  ['/bin/tools/again', '3'],
  ['/etc/my-app-config', '3'],
  ['/etc/my-app.d/default.cfg', '2'],
  ['/usr/lib/x', '1'],
];

test('an image is the same unpacked layer over layer and as a union of layers', {
  skip: nativeOnly,
}, async (context) => {
  const engine = await scratchStore(context);
  const scratch = scratchDirectory(context);
  for (const [index, parts] of LAYERS.entries()) {
    const archive = join(scratch, `${index}.tar.gz`);
    writeFileSync(archive, gzipSync(tarBytes(parts)));
    await importTree(engine, archive, { name: `layer-${index}`, whiteouts: 'oci' });
    const over = index === 0 ? {} : { over: `image-${index - 1}` };
    await importTree(engine, archive, { name: `image-${index}`, ...over });
  }
  const unpacked = engine.openTree('image-2');
  const union = engine.forkUnion(['layer-2', 'layer-1', 'layer-0'], 'union');
  for (const tree of [unpacked, union]) {
    assert.equal(tree.fileSystem.readLink('/lib'), 'usr/lib');
    assert.deepEqual(
      sorted(shownBy(tree)).filter(([path]) => !path.endsWith('/')),
      IMAGE,
    );
  }
  assert.deepEqual(
    sorted(shownBy(union)).filter(([path]) => path.endsWith('/')),
    sorted(shownBy(unpacked)).filter(([path]) => path.endsWith('/')),
  );
  union.close();
  unpacked.close();
  assert.deepEqual(problemsOf(engine), []);
});
