/** Writes into directories, one after another, until one of them fails; then reports what each must hold. */
import { WrittenFiles, type WrittenReport } from './written-files.ts';

/** The report after a change of a directory has failed. */
export interface WritingAnswer {
  readonly code: string;
  readonly reports: readonly WrittenReport[];
}

const [seed, ...directories] = process.argv.slice(2);
const written = directories.map((directory, index) => new WrittenFiles(directory, Number(seed) + index));

/** Makes changes until one fails; returns the error code. */
function writeUntilFailure(): string {
  for (;;) {
    for (const files of written) {
      try {
        files.change();
      } catch (error) {
        if (error instanceof Error && 'code' in error) return String(error.code);
        throw error;
      }
    }
  }
}

process.send!('ready', () => {
  const answer: WritingAnswer = {
    code: writeUntilFailure(),
    reports: written.map((files) => files.report()),
  };
  process.send!(answer);
});
