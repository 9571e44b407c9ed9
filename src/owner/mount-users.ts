/** Finds the processes that use a mount. Asks nothing of the mount, because the owner would wait for itself. */
import { readdirSync } from 'node:fs';
import { deviceOfLink, mountedPlaces } from '../sys/index.ts';

/** Processes that have a device mounted somewhere, as far as this process may see. */
export function processesWithMount(device: string): number[] {
  return processes().filter((pid) => mountedPlaces(String(pid)).some((place) => place.device === device));
}

/**
 * Processes that work in the filesystem of a device, run a program from there, or have files open there, as far as this
 * process may see: proc_pid_cwd(5), proc_pid_root(5), proc_pid_exe(5), proc_pid_fd(5). The filesystem may be mounted
 * anywhere, or nowhere any more. Memory maps are not read: a read of them waits for the page faults of the process,
 * which may wait for the owner.
 */
export function processesIn(device: string): number[] {
  return processes().filter((pid) => {
    const descriptors = namesIn(`/proc/${pid}/fd`).map((name) => `fd/${name}`);
    return ['cwd', 'root', 'exe', ...descriptors].some(
      (link) => deviceOfLink(`/proc/${pid}/${link}`) === device,
    );
  });
}

/** Text that names processes, for the subject of a sentence in a message. */
export function programsText(pids: readonly number[]): string {
  return pids.length === 0 ? 'programs' : `processes ${pids.join(', ')}`;
}

function processes(): number[] {
  return namesIn('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number);
}

/** The names in a directory; an empty list if the directory is gone or may not be read. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
