/** Chosen and random changes of a small tree, for tests of diffs, patches and merges. */
import { isFsError, type SeededRandom } from '../../src/base/index.ts';
import type { FileSystem } from '../../src/vfs/index.ts';
import { seededBytes } from '../trees/odd-tree.ts';

const O_RDWR_CREATE = 0o102;

/** Writes into a file, which is made if it is missing. */
export function writeText(
  fileSystem: FileSystem,
  path: string,
  bytes: Uint8Array | string,
  position = 0,
): void {
  const file = fileSystem.open(path, O_RDWR_CREATE, 0o644);
  const content = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  fileSystem.write(file, content, 0, content.length, position);
  fileSystem.close(file);
}

/** Replaces the text of an existing file. */
export function rewrite(fileSystem: FileSystem, path: string, text: string): void {
  fileSystem.truncate(path, 0);
  writeText(fileSystem, path, text);
}

/** Tries one random change, and ignores errors (a name may be taken, a directory not empty). */
export function changeSomething(fileSystem: FileSystem, random: SeededRandom): void {
  const names = ['a', 'b', 'c', 'sub', 'sub/c', 'sub/deep', 'sub/deep/d', 'x', 'x/y', 'x/z'];
  const pick = (): string => `/${names[random.below(names.length)]!}`;
  const acts: (() => void)[] = [
    () =>
      writeText(
        fileSystem,
        pick(),
        seededBytes(random.below(3), 1 + random.below(9000)),
        random.below(3) * 4096,
      ),
    () => fileSystem.makeDirectory(pick(), 0o755),
    () => fileSystem.unlink(pick()),
    () => fileSystem.removeDirectory(pick()),
    () => fileSystem.rename(pick(), pick()),
    () => fileSystem.link(pick(), pick(), false),
    () => fileSystem.symlink('t'.repeat(1 + random.below(3)), pick()),
    () => fileSystem.chmod(pick(), 0o600 + random.below(0o100), false),
    () => fileSystem.chown(pick(), random.below(3), 0, false),
    () => fileSystem.setXattr(pick(), 'user.x', Buffer.from([random.below(3)]), 0, false),
    () => fileSystem.truncate(pick(), random.below(12_000)),
  ];
  try {
    acts[random.below(acts.length)]!();
  } catch (error) {
    if (!isFsError(error)) throw error;
  }
}
