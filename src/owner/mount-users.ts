/** Which processes use a mount, found without touching it: the owner asks, which serves it itself. */
import { readdirSync, readlinkSync } from 'node:fs';
import { mountedPlaces } from '../sys/index.ts';

/** Processes that have a device mounted somewhere, as far as this process may see. */
export function processesWithMount(device: string): number[] {
  return processes().filter((pid) => mountedPlaces(String(pid)).some((place) => place.device === device));
}

/**
 * Processes that work at or below a directory, run a program from there, or have files open there, as far as this
 * process may see: proc_pid_cwd(5), proc_pid_root(5), proc_pid_exe(5), proc_pid_fd(5). Maps are not looked at: reading
 * them waits for the process's page faults, and those may wait for the owner.
 */
export function processesIn(directory: string): number[] {
  return processes().filter((pid) => {
    const descriptors = namesIn(`/proc/${pid}/fd`).map((name) => `fd/${name}`);
    const links = ['cwd', 'root', 'exe', ...descriptors];
    return links.some((link) => `${targetOf(`/proc/${pid}/${link}`)}/`.startsWith(`${directory}/`));
  });
}

function processes(): number[] {
  return namesIn('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number);
}

/** None where the directory is gone, or may not be read. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}
