/**
 * Peers from the package registry that are no dependencies of this project: one is not permissively licensed, the other
 * brings fifty packages. They are installed into the work directory when a benchmark asks for them.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { Absent } from '../../src/demo/index.ts';
import { runProgram, type WorkDirectory } from '../measure/work-directory.ts';

const PACKAGES = ['@zenfs/core@2.7.6', 'just-bash@3.4.2'];

/** The directory with the installed packages, or the reason why they could not be installed. */
export function installPeers(work: WorkDirectory): string | Absent {
  const directory = work.join('peer-packages');
  mkdirSync(directory);
  writeFileSync(`${directory}/package.json`, '{ "private": true, "type": "module" }\n');
  try {
    runProgram(
      'npm',
      'install',
      '--prefix',
      directory,
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--no-package-lock',
      ...PACKAGES,
    );
    return directory;
  } catch {
    return { absentBecause: `${PACKAGES.join(' and ')} could not be installed from the package registry` };
  }
}

/** Imports a package that `installPeers` installed in `directory`. */
export async function importPeer<Module>(directory: string, name: string): Promise<Module> {
  const resolve = createRequire(`${directory}/package.json`).resolve;
  // The caller's type says which of the module's exports it uses; a missing one throws at its first use.
  return (await import(pathToFileURL(resolve(name)).href)) as Module;
}
