/** Chooses the user who makes the calls of a file system in tests. */
import { type Credentials, type FileSystem, trustedCaller } from '../../src/vfs/index.ts';

/** Later calls are checked for the permissions of `user`; if undefined, everything is allowed. */
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
