/** Who makes the calls of a file system in tests. */
import { type Credentials, type FileSystem, trustedCaller } from '../../src/vfs/index.ts';

/** Permission is checked for `user`; without one, the process itself calls, and may do everything. */
export function actAs(fileSystem: FileSystem, user: Credentials | undefined): void {
  const { umask } = fileSystem.caller;
  fileSystem.caller =
    user === undefined
      ? trustedCaller(process.getuid?.() ?? 0, process.getgid?.() ?? 0, umask)
      : { ...user, umask, isTrusted: false, clearsSetId: false };
}

export function setUmask(fileSystem: FileSystem, umask: number): void {
  fileSystem.caller = { ...fileSystem.caller, umask };
}
