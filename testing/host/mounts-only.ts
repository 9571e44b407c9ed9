/** The `skip` option of tests that mount: false where they can run, else the reason why they cannot. */
import { existsSync } from 'node:fs';
import { nativeOnly } from './native-only.ts';

export const mountsOnly: false | string = nativeOnly || (whyNot() ?? false);

function whyNot(): string | undefined {
  if (!existsSync('/dev/fuse')) return 'needs /dev/fuse';
  return process.getuid?.() === 0 ? undefined : 'needs root, to mount';
}
