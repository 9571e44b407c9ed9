/**
 * A directory that is held open and named by its descriptor. The owner names its store in this way. A path that starts
 * with such a name leads into the directory that was opened, even if something is mounted over the directory or one of
 * its parents later. The name is valid only in this process, so all output has the ordinary path instead.
 */
import { closeSync, existsSync, openSync } from 'node:fs';
import { O_DIRECTORY, O_PATH } from '../sys/index.ts';

const DESCRIPTORS = '/proc/self/fd';

export class HeldDirectory {
  /** The ordinary path of the directory, for other processes. */
  readonly shownPath: string;
  /** The path of the directory in this process. */
  readonly path: string;
  private readonly fd: number;
  private readonly inText: RegExp;
  private readonly shownInJson: string;

  /** Opens the directory. ENOENT, ENOTDIR, EACCES. Without /proc, `path` is the ordinary path. */
  constructor(directory: string) {
    this.shownPath = directory;
    this.fd = openSync(directory, O_PATH | O_DIRECTORY);
    this.path = existsSync(DESCRIPTORS) ? `${DESCRIPTORS}/${this.fd}` : directory;
    this.inText = new RegExp(`${DESCRIPTORS}/${this.fd}(?![0-9])`, 'g');
    this.shownInJson = JSON.stringify(directory).slice(1, -1);
  }

  /** Puts the ordinary path of the directory into JSON in place of its private name. */
  readonly shown = (json: string): string => json.replace(this.inText, () => this.shownInJson);

  close(): void {
    closeSync(this.fd);
  }
}
