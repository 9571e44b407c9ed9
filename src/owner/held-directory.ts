/**
 * A directory that is held open and named by its descriptor. Whatever is mounted over it or above it meanwhile, a path
 * below that name leads to the directory that was opened, and nobody's mount is asked on the way: the owner reaches its
 * store like this. Such a name means something in this process alone, so what leaves it is translated.
 */
import { closeSync, existsSync, openSync } from 'node:fs';
import { O_DIRECTORY, O_PATH } from '../sys/index.ts';

const DESCRIPTORS = '/proc/self/fd';

export class HeldDirectory {
  /** Its ordinary path, which other processes use. */
  readonly shownPath: string;
  /** What leads to it, in this process. */
  readonly path: string;
  private readonly fd: number;
  private readonly inText: RegExp;
  private readonly shownInJson: string;

  /** ENOENT, ENOTDIR, EACCES. Without /proc it is reached by its name. */
  constructor(directory: string) {
    this.shownPath = directory;
    this.fd = openSync(directory, O_PATH | O_DIRECTORY);
    this.path = existsSync(DESCRIPTORS) ? `${DESCRIPTORS}/${this.fd}` : directory;
    this.inText = new RegExp(`${DESCRIPTORS}/${this.fd}(?![0-9])`, 'g');
    this.shownInJson = JSON.stringify(directory).slice(1, -1);
  }

  /** JSON with the ordinary path of the directory in place of its private name. */
  readonly shown = (json: string): string => json.replace(this.inText, () => this.shownInJson);

  close(): void {
    closeSync(this.fd);
  }
}
