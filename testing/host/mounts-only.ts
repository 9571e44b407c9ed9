/** Why a test that mounts does not run, for its `skip`: false where it can, else the reason. */
import { existsSync } from 'node:fs';
import { nativeOnly } from './native-only.ts';

export const mountsOnly: false | string = nativeOnly || (whyNot() ?? false);

function whyNot(): string | undefined {
  if (!existsSync('/dev/fuse')) return 'needs /dev/fuse';
  return process.getuid?.() === 0 ? undefined : 'needs root, to mount';
}
