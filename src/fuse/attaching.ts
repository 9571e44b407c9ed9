/**
 * Mounts a device: by mount(2), or for users who may not, by fusermount3(1), as is usual with FUSE.
 */
import { closeSync } from 'node:fs';
import { isFsError } from '../base/index.ts';
import { MS_NODEV, MS_NOSUID, MS_RDONLY } from '../sys/index.ts';
import type { BlockingCalls } from './blocking-calls.ts';
import { openDevice } from './device.ts';
import { MAX_WRITE_BYTES } from './negotiation.ts';

const SUBTYPE = 'ramet';

export interface Attachment {
  readonly directory: string;
  /** The first column of /proc/mounts. */
  readonly source: string;
  readonly isReadOnly: boolean;
  readonly allowOther: boolean;
}

/** The descriptor of the device, non-blocking. EPERM, ENOENT, ENOTDIR, EBUSY, ENODEV, EACCES (of the device). */
export async function attach(blocking: BlockingCalls, attachment: Attachment): Promise<number> {
  try {
    return await attachByCall(blocking, attachment);
  } catch (error) {
    // The helper runs as root: it cannot open a device that root may not open.
    const mayHelp = isFsError(error, 'EPERM') || (isFsError(error, 'EACCES') && process.getuid?.() !== 0);
    if (!mayHelp) throw error;
    const { directory } = attachment;
    const options = helperOptions(attachment);
    return blocking.run({ kind: 'mountByHelper', directory, options, descriptor: -1 });
  }
}

async function attachByCall(blocking: BlockingCalls, attachment: Attachment): Promise<number> {
  const { directory, source, isReadOnly } = attachment;
  const device = openDevice();
  const flags = MS_NOSUID | MS_NODEV | (isReadOnly ? MS_RDONLY : 0);
  const type = `fuse.${SUBTYPE}`;
  const options = mountOptions(attachment);
  try {
    await blocking.run({ kind: 'mount', source, directory, type, flags, options, descriptor: device });
    return device;
  } catch (error) {
    closeSync(device);
    throw error;
  }
}

/** Options of the kernel's filesystem `fuse`, except the device: Documentation/filesystems/fuse/fuse.rst. */
function mountOptions({ allowOther }: Attachment): string {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  const options = [
    'rootmode=40000',
    `user_id=${uid}`,
    `group_id=${gid}`,
    'default_permissions',
    `max_read=${MAX_WRITE_BYTES}`,
  ];
  return (allowOther ? [...options, 'allow_other'] : options).join(',');
}

/** Options of the helper; a backslash escapes a comma in a value. */
function helperOptions({ source, isReadOnly, allowOther }: Attachment): string {
  const name = source.replaceAll('\\', '\\\\').replaceAll(',', '\\,');
  const options = [
    `fsname=${name}`,
    `subtype=${SUBTYPE}`,
    'default_permissions',
    `max_read=${MAX_WRITE_BYTES}`,
    isReadOnly ? 'ro' : 'rw',
  ];
  return (allowOther ? [...options, 'allow_other'] : options).join(',');
}
